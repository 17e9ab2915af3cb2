# SPDX-License-Identifier: Apache-2.0
"""GET /v1/status."""

from msgspec import UNSET, Struct, UnsetType, field

from undermesh.model.status import LoopStatus, MapStatus, ProgramStatus, RingStatus
from undermesh.model.status import Status as DomainStatus
from undermesh.wire import SCHEMA
from undermesh.wire.times import iso, milliseconds


class ProgramRow(Struct, kw_only=True):
    """One eBPF program; `why` says why it is not attached."""

    name: str
    hook: str = ""
    attached: bool = False
    why: str = ""
    verified_insns: int = 0
    runs: int = 0
    run_ns: int = 0
    tag: str = ""


class MapRow(Struct, kw_only=True):
    """One map; `entries` and `fill` are null where the kernel cannot tell."""

    name: str
    type: str = ""
    entries: int | None = None
    max_entries: int = 0
    bytes: int = 0
    fill: float | None = None


class RingRow(Struct, kw_only=True):
    """One ring: records read by this agent, records the kernel found no room for."""

    name: str
    read: int = 0
    lost: int = 0


class LoopRow(Struct, kw_only=True):
    """One loop of the agent; `problem` is what its last failed round met."""

    name: str
    rounds: int = 0
    failures: int = 0
    last_ms: float | None = None
    problem: str = ""


class Status(Struct, kw_only=True):
    """`since` is when the counters began, `started` when this agent did."""

    schema: int = SCHEMA
    version: str = ""
    node: str = ""
    instance: str = ""
    pid: int = 0
    since: str = ""
    started: str = ""
    adopted: bool = False
    programs: list[ProgramRow] = field(default_factory=list)
    maps: list[MapRow] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)
    limited: dict[str, int] = field(default_factory=dict)
    rings: list[RingRow] = field(default_factory=list)
    loops: list[LoopRow] = field(default_factory=list)
    workloads: int = 0
    memory_bytes: int = 0
    config: dict[str, dict[str, object]] | UnsetType = UNSET


def answer(
    status: DomainStatus, config: dict[str, dict[str, object]] | UnsetType = UNSET
) -> Status:
    """A status as it goes out, with the effective configuration when asked for."""
    return Status(
        version=status.version,
        node=status.node,
        instance=status.instance,
        pid=status.pid,
        since=iso(status.since_ns),
        started=iso(status.started_ns),
        adopted=status.adopted,
        programs=[_program(program) for program in status.programs],
        maps=[_map(one) for one in status.maps],
        lost=dict(status.lost.lost),
        limited=dict(status.lost.limited),
        rings=[_ring(ring) for ring in status.rings],
        loops=[_loop(loop) for loop in status.loops],
        workloads=status.workloads,
        memory_bytes=status.memory_bytes,
        config=config,
    )


def _program(program: ProgramStatus) -> ProgramRow:
    return ProgramRow(
        name=program.name,
        hook=program.hook,
        attached=program.attached,
        why=program.why,
        verified_insns=program.instructions,
        runs=program.runs,
        run_ns=program.run_ns,
        tag=program.tag,
    )


def _map(one: MapStatus) -> MapRow:
    return MapRow(
        name=one.name,
        type=one.type,
        entries=one.entries,
        max_entries=one.max_entries,
        bytes=one.bytes,
        fill=None if one.fill is None else round(one.fill, 4),
    )


def _ring(ring: RingStatus) -> RingRow:
    return RingRow(name=ring.name, read=ring.read, lost=ring.lost)


def _loop(loop: LoopStatus) -> LoopRow:
    return LoopRow(
        name=loop.name,
        rounds=loop.rounds,
        failures=loop.failures,
        last_ms=milliseconds(loop.last_ns),
        problem=loop.problem,
    )
