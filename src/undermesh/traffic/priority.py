# SPDX-License-Identifier: Apache-2.0
"""Which sockets are important, and what that makes of the devices: Priorities become marks.

A connection to a service that a Priority names follows that one, whoever makes it; all else of a
workload follows the Priority that names the workload. Where two name the same, the more important
level wins, then the first by name, and a problem says so.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from undermesh.model.priority import (
    INDICES,
    SHARED,
    Importance,
    Mark,
    Marked,
    Serving,
    Shape,
    TrafficClass,
    class_id,
)
from undermesh.model.service import (
    Address,
    Level,
    Netns,
    PrioritySpec,
    ServiceId,
    ServiceName,
    WorkloadSpec,
)
from undermesh.model.workload import Workload
from undermesh.traffic import selecting

_ORDER = tuple(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What Priorities are about: the host's workloads, with the Workload objects that add labels to
    them, the numbers of services, and who answers for those. `congestion` are the congestion
    controls this kernel has; None: not known."""

    workloads: Sequence[Workload] = ()
    specs: Sequence[WorkloadSpec] = ()
    services: Mapping[ServiceName, ServiceId]
    serving: Collection[Serving] = ()
    congestion: Collection[str] | None = None


def desired(priorities: Iterable[PrioritySpec], world: World) -> Importance:
    """Marks for the kernel and classes for the devices.

    The same Priorities give the same class ids, in whatever order they come and whatever other
    Priorities come and go, but for two whose hashes meet.
    """
    ranked = sorted(priorities, key=_rank)
    ids = _class_ids(ranked)
    claims = _Claims()
    for spec, its_id in zip(ranked, ids, strict=True):
        congestion = _congestion(spec, world, claims)
        mark = Mark(priority=its_id, dscp=spec.dscp, congestion=congestion)
        for marked, what in _marked(spec, world, claims):
            claims.take(marked, mark, spec, what)
    return Importance(
        marks=claims.marks,
        shapes=_shapes(ranked, ids),
        problems=tuple(claims.problems),
    )


def serving(
    resolved: Mapping[ServiceName, Iterable[tuple[Address, int, Netns]]],
    listeners: Mapping[tuple[Netns, int], int],
    places: Mapping[Address, Netns],
) -> tuple[Serving, ...]:
    """Who of this host answers for services: endpoints (address, port, network namespace) that a
    listener of the host (namespace, port → cgroup) stands behind.

    `places` are the host's own addresses and the namespaces they are in.
    """
    found = set()
    for service, endpoints in resolved.items():
        for address, port, netns in endpoints:
            where = netns or places.get(address)
            cgroup_id = 0 if where is None else listeners.get((where, port), 0)
            if cgroup_id:
                found.add(Serving(service=service, cgroup_id=cgroup_id, port=port))
    return tuple(sorted(found))


class _Claims:
    """Marks as they are taken, the more important first."""

    def __init__(self) -> None:
        self.marks: dict[Marked, Mark] = {}
        self.problems: list[str] = []
        self._owners: dict[Marked, PrioritySpec] = {}

    def take(self, marked: Marked, mark: Mark, spec: PrioritySpec, what: str) -> None:
        """Gives it to `spec` unless another has it."""
        owner = self._owners.setdefault(marked, spec)
        if owner is spec:
            self.marks[marked] = mark
        elif self.marks[marked] != mark:
            self.say(
                spec,
                f"claims {what}, which {_named(owner)} claims as {owner.level}: that one is in "
                "force; change the labels or services of one of them",
            )

    def say(self, spec: PrioritySpec, text: str) -> None:
        """A problem of one Priority, once."""
        where = f"{spec.origin}: " if spec.origin else ""
        sentence = f"{where}{_named(spec)} {text}"
        if sentence not in self.problems:
            self.problems.append(sentence)


def _marked(spec: PrioritySpec, world: World, claims: _Claims) -> Iterable[tuple[Marked, str]]:
    """What one Priority names, and how to say so."""
    for service in spec.services:
        number = world.services.get(service)
        if number is None:
            claims.say(spec, f"names service {service}, which there is none of")
            continue
        yield Marked(service=number), f"service {service}"
        for server in world.serving:
            if server.service == service:
                marked = Marked(cgroup_id=server.cgroup_id, port=server.port)
                yield marked, f"port {server.port} of a server of {service}"
    if not spec.workloads:
        return
    there = [workload for workload in world.workloads if workload.gone_ns is None]
    chosen = [workload for workload in there if _selects(spec, workload, world.specs)]
    cgroups = {workload.cgroup_id for workload in chosen}
    for workload in chosen:
        yield Marked(cgroup_id=workload.cgroup_id), f"workload {workload.title}"
    for workload in there:
        if workload.cgroup_id in cgroups and workload not in chosen:
            claims.say(
                spec,
                f"does not select {workload.exe} of {workload.title}, which it holds for all the "
                "same: it shares a cgroup with one that is selected; start it in one of its own",
            )


def _congestion(spec: PrioritySpec, world: World, claims: _Claims) -> str:
    """The congestion control it asks for, where there is one of that name."""
    if not spec.congestion or world.congestion is None or spec.congestion in world.congestion:
        return spec.congestion
    claims.say(
        spec,
        f"asks for congestion control {spec.congestion}, which this kernel does not have: it has "
        f"{', '.join(sorted(world.congestion))}; load one with modprobe tcp_{spec.congestion}",
    )
    return ""


def _selects(spec: PrioritySpec, workload: Workload, specs: Sequence[WorkloadSpec]) -> bool:
    """Whether its labels, with those that Workload objects add, are among the Priority's namespace
    and have all that it asks for."""
    labels, namespaces = dict(workload.labels), {workload.namespace}
    for one in specs:
        if selecting.matches(one, workload):
            labels.update(one.labels)
            namespaces.add(one.namespace)
    return spec.namespace in namespaces and spec.workloads.items() <= labels.items()


def _class_ids(ranked: Sequence[PrioritySpec]) -> list[int]:
    """A class of its own for each Priority with a rate or ceiling, the shared one for the rest."""
    taken: set[int] = set()
    ids = []
    for spec in ranked:
        index = SHARED
        if _own_class(spec):
            index = zlib.crc32(f"{spec.namespace}/{spec.name}".encode()) % INDICES
            while index <= SHARED or index in taken:
                index = (index + 1) % INDICES
            taken.add(index)
        ids.append(class_id(spec.level, index))
    return ids


def _shapes(ranked: Sequence[PrioritySpec], ids: Sequence[int]) -> tuple[Shape, ...]:
    """Every class is on every device that is scheduled, so that a socket's priority is known on
    whichever it sends; its rate only on those its Priority names."""
    devices = sorted({device for spec in ranked for device in spec.devices})
    return tuple(Shape(device=device, classes=_classes(device, ranked, ids)) for device in devices)


def _classes(
    device: str, ranked: Sequence[PrioritySpec], ids: Sequence[int]
) -> tuple[TrafficClass, ...]:
    classes = {class_id(level): TrafficClass(id=class_id(level), level=level) for level in _ORDER}
    known: set[int] = set()
    for spec, its_id in zip(ranked, ids, strict=True):
        made = classes.get(its_id) or TrafficClass(id=its_id, level=spec.level)
        if device in spec.devices and _own_class(spec):
            made = replace(made, rate=spec.rate, ceiling=spec.ceiling)
        if spec.dscp and spec.dscp not in known:  # 0 is what nobody has marked
            known.add(spec.dscp)
            made = replace(made, dscp=(*made.dscp, spec.dscp))
        classes[its_id] = made
    return tuple(sorted(classes.values(), key=lambda one: (_ORDER.index(one.level), one.id)))


def _own_class(spec: PrioritySpec) -> bool:
    return bool(spec.devices) and bool(spec.rate or spec.ceiling)


def _rank(spec: PrioritySpec) -> tuple[int, str, str]:
    return _ORDER.index(spec.level), spec.namespace, spec.name


def _named(spec: PrioritySpec) -> str:
    return f"Priority {spec.namespace}/{spec.name}"
