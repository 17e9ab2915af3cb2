# SPDX-License-Identifier: Apache-2.0
"""The state of the agent itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from undermesh.app.ports import DataPlane, MapFacts, ProgramFacts
from undermesh.app.recorder import RINGS, Recorder
from undermesh.model.status import LoopStatus, Lost, MapStatus, ProgramStatus, RingStatus, Status
from undermesh.model.workload import NodeId

_NOT_LOST = frozenset({"samples_limited", "processes_limited", "pipeline_merged"})
"""Counters of things left out on purpose, or counted with less precision: nothing is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Self:
    """Who this agent is. `started_ns` is in ns since the epoch."""

    version: str
    node: NodeId
    instance: str
    pid: int
    started_ns: int


class Reporter:
    """Answers `status`."""

    def __init__(self, *, myself: Self, plane: DataPlane, recorder: Recorder) -> None:
        self._myself = myself
        self._plane = plane
        self._recorder = recorder

    def status(
        self,
        *,
        since_ns: int,
        workloads: int,
        memory_bytes: int,
        malformed: int,
        loops: Sequence[LoopStatus],
    ) -> Status:
        """Everything there is to say. Counts the entries of every map, which reads them all.

        `malformed` are DNS answers that could not be read in user space.
        """
        stats = dict(self._plane.stats())
        stats["answers_malformed"] = stats.get("answers_malformed", 0) + malformed
        return Status(
            version=self._myself.version,
            node=self._myself.node,
            instance=self._myself.instance,
            pid=self._myself.pid,
            since_ns=since_ns,
            started_ns=self._myself.started_ns,
            adopted=self._plane.adopted,
            programs=tuple(map(_program, self._plane.program_info())),
            maps=tuple(map(_map, self._plane.map_info())),
            lost=lost(stats),
            rings=tuple(self._ring(ring, stats) for ring in RINGS),
            loops=tuple(loops),
            workloads=workloads,
            memory_bytes=memory_bytes,
        )

    def _ring(self, ring: str, stats: Mapping[str, int]) -> RingStatus:
        name = ring.removeprefix("um_")
        return RingStatus(
            name=ring, read=self._recorder.read[ring], lost=stats.get(f"{name}_ring_full", 0)
        )


def lost(stats: Mapping[str, int]) -> Lost:
    """The kernel's counters of what it could not keep, split by whether anything is missing."""
    return Lost(
        lost={name: count for name, count in stats.items() if name not in _NOT_LOST},
        limited={name: count for name, count in stats.items() if name in _NOT_LOST},
    )


def _program(program: ProgramFacts) -> ProgramStatus:
    return ProgramStatus(
        name=program.name,
        hook=program.hook,
        attached=program.attached,
        why=program.why,
        instructions=program.verified_insns,
        runs=program.run_cnt,
        run_ns=program.run_time_ns,
        tag=program.tag,
    )


def _map(one: MapFacts) -> MapStatus:
    return MapStatus(
        name=one.name,
        type=one.type,
        entries=one.entries,
        max_entries=one.max_entries,
        bytes=one.bytes,
    )
