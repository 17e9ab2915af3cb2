# SPDX-License-Identifier: Apache-2.0
"""Wiring: the order of start and stop, and the loops in between. No logic of its own.

`run` and `down` load the rest of the agent when they are called, so that naming them is cheap.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undermesh.agent.removing import Removed
    from undermesh.config import Config

__all__ = ["down", "run"]


def run(settings: "Config") -> int:
    """Runs the agent until SIGTERM, SIGINT or POST /v1/shutdown.

    Returns 0, or 1 when it could not start; why is on stderr. What it loaded into the kernel stays
    and goes on counting, and the next `run` takes it over.
    """
    from undermesh.agent.running import run as live

    return live(settings)


def down(settings: "Config") -> "Removed":
    """Stops a running agent, and takes its programs, maps, cgroups and totals away. Works without
    an agent. Raises kernel.errors.KernelError, store.StoreError."""
    from undermesh.agent.removing import down as remove

    return remove(settings)
