# SPDX-License-Identifier: Apache-2.0
"""Stored objects by what they are about, brought up to date with what changed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from undermesh.manifests import Gathered, gather
from undermesh.model.objects import Object
from undermesh.model.service import (
    ANY_NETNS,
    EndpointSet,
    Netns,
    PrioritySpec,
    Service,
    ServiceName,
    WorkloadSpec,
)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Said:
    """What manifests say. `listed` are the endpoint sets as they have them, `sets` the same with
    loopback addresses bound to a network namespace. A value that did not change is the same object
    from one `Said` to the next."""

    services: Mapping[ServiceName, Service] = field(default_factory=dict)
    listed: Mapping[ServiceName, tuple[EndpointSet, ...]] = field(default_factory=dict)
    sets: Mapping[ServiceName, tuple[EndpointSet, ...]] = field(default_factory=dict)
    workloads: tuple[WorkloadSpec, ...] = ()
    priorities: tuple[PrioritySpec, ...] = ()
    objects: tuple[Object, ...] = ()
    about: Mapping[ServiceName, tuple[Object, ...]] = field(default_factory=dict)
    """Which objects a service follows from."""


NOTHING = Said()


def grouped(objects: Sequence[Object], before: Said, netns: Netns) -> Said:
    """All of them anew. `netns` is where loopback addresses of manifests are."""
    found = gather(objects)
    about: dict[ServiceName, list[Object]] = {}
    for one in objects:
        for name in _concerned(one):
            about.setdefault(name, []).append(one)
    return Said(
        services=found.services,
        listed=found.endpoint_sets,
        sets={name: _kept(name, found, before, netns) for name in found.endpoint_sets},
        workloads=found.workloads,
        priorities=found.priorities,
        objects=tuple(objects),
        about={name: tuple(held) for name, held in about.items()},
    )


def regrouped(
    objects: Sequence[Object], before: Said, netns: Netns, names: Collection[ServiceName]
) -> Said:
    """The same where nothing changed but what these services follow from: costs by how many they
    are, and a look at which objects are still the same."""
    had, has = set(map(id, before.objects)), set(map(id, objects))
    fresh: dict[ServiceName, list[Object]] = {}
    for one in objects:
        if id(one) not in had:
            for name in _concerned(one):
                fresh.setdefault(name, []).append(one)
    mine: dict[ServiceName, tuple[Object, ...]] = {}
    for name in names:
        kept = [one for one in before.about.get(name, ()) if id(one) in has]
        mine[name] = (*kept, *fresh.get(name, ()))
    found = gather(tuple({id(one): one for held in mine.values() for one in held}.values()))
    sets = {name: _kept(name, found, before, netns) for name in names}
    return replace(
        before,
        services=_with(before.services, {name: found.services.get(name) for name in names}),
        listed=_with(before.listed, {name: found.endpoint_sets.get(name) for name in names}),
        sets=_with(before.sets, {name: one or None for name, one in sets.items()}),
        objects=tuple(objects),
        about=_with(before.about, {name: held or None for name, held in mine.items()}),
    )


def claims_alike(
    services: Mapping[ServiceName, Service], before: Mapping[ServiceName, Service]
) -> bool:
    """Whether the same services want the same of addresses: then nobody is given another."""
    if services is before:
        return True
    if len(services) != len(before):
        return False
    for name, one in services.items():
        was = before.get(name)
        if was is one:
            continue
        if was is None or _claim(was) != _claim(one):
            return False
    return True


def _claim(service: Service) -> tuple[object, ...]:
    return service.addresses, service.headless, service.external is None


def _concerned(one: Object) -> list[ServiceName]:
    names = []
    for spec in one.specs:
        match spec:
            case Service():
                names.append(spec.name)
            case EndpointSet():
                names.append(spec.service)
            case _:
                pass
    return names


def _kept(
    name: ServiceName, found: Gathered, before: Said, netns: Netns
) -> tuple[EndpointSet, ...]:
    """The endpoint sets of a service, bound; as they were where they say the same."""
    listed = found.endpoint_sets.get(name, ())
    was = before.sets.get(name)
    if was is not None and before.listed.get(name) == listed:
        return was
    bound = tuple(_bound(one, netns) for one in listed)
    return was if was is not None and was == bound else bound


def _with(
    before: Mapping[ServiceName, Value], changes: Mapping[ServiceName, Value | None]
) -> Mapping[ServiceName, Value]:
    """A copy with other values (None: without); the same mapping where they are none."""
    result: dict[ServiceName, Value] | None = None
    for name, value in changes.items():
        if before.get(name) is value:
            continue
        if result is None:
            result = dict(before)
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return before if result is None else result


def _bound(listed: EndpointSet, netns: Netns) -> EndpointSet:
    """A loopback address that a manifest lists is this host's own: it is reached from the agent's
    network namespace, and in any other it would be somebody else."""
    if not any(one.address.is_loopback and one.netns == ANY_NETNS for one in listed.endpoints):
        return listed
    endpoints = tuple(
        replace(one, netns=netns) if one.address.is_loopback and one.netns == ANY_NETNS else one
        for one in listed.endpoints
    )
    return replace(listed, endpoints=endpoints)
