# SPDX-License-Identifier: Apache-2.0
"""The data plane and the agent as they stand."""

from collections.abc import Mapping
from dataclasses import dataclass

from undermesh.model.workload import NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramStatus:
    """One eBPF program. `why` says why it is not attached, empty when it is."""

    name: str
    hook: str
    attached: bool
    why: str
    instructions: int
    runs: int
    run_ns: int
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStatus:
    """One map. `entries` is None where the kernel cannot tell (socket storage, rings)."""

    name: str
    type: str
    entries: int | None
    max_entries: int
    bytes: int

    @property
    def fill(self) -> float | None:
        """Share of the entries that are used, 0..1."""
        if self.entries is None or not self.max_entries:
            return None
        return self.entries / self.max_entries


@dataclass(frozen=True, slots=True, kw_only=True)
class RingStatus:
    """One ring: records read since the agent started, and what the kernel could not write."""

    name: str
    read: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopStatus:
    """One eternal task of the agent: rounds done, rounds that failed, how long the last took."""

    name: str
    rounds: int
    failures: int
    last_ns: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """What was seen and not kept, by cause, summed over CPUs; and what a rate limit left out."""

    lost: Mapping[str, int]
    limited: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`since_ns` is when the counters began (the last `down`), `started_ns` when the agent did.

    Both are wall-clock nanoseconds since the epoch. `adopted` is True when a running data path
    was found and taken over.
    """

    version: str
    node: NodeId
    instance: str
    pid: int
    since_ns: int
    started_ns: int
    adopted: bool
    programs: tuple[ProgramStatus, ...]
    maps: tuple[MapStatus, ...]
    lost: Lost
    rings: tuple[RingStatus, ...]
    loops: tuple[LoopStatus, ...]
    workloads: int
    memory_bytes: int
