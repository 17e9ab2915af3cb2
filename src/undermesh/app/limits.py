# SPDX-License-Identifier: Apache-2.0
"""How much the agent keeps in memory, and how long it waits."""

from dataclasses import dataclass, field

from undermesh.telemetry.leaving import Pressure

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every queue and table the agent has, with its bound. Times in ns."""

    window_ns: int = 300 * SECOND_NS
    window_cells: int = 600_000
    flows: int = 50_000
    samples: int = 5_000
    answers: int = 20_000
    gone_ends: int = 2_000
    gone_rows: int = 16_000
    gone_for_ns: int = 3600 * SECOND_NS
    retired: int = 8_000
    quiet_ns: int = 5 * SECOND_NS
    """How long nothing may be counted for a workload that is gone before it is folded."""
    folds: int = 1024
    """Numbers folded in one round."""
    follower: int = 64
    """Batches that wait for one slow reader of a stream."""
    pressure: Pressure = field(default_factory=Pressure)
    drops_pressure: Pressure = field(default_factory=lambda: Pressure(idle_ns=60 * SECOND_NS))
    """Drops are keyed by port too: those to passing ports give room to the next sooner."""
