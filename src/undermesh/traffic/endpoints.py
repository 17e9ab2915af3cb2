# SPDX-License-Identifier: Apache-2.0
"""Who answers for a port of a service, and what state each of them is in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from undermesh.model.service import Endpoint, EndpointSet, Service, ServicePort, Split
from undermesh.traffic.states import (
    DRAINING,
    NOT_READY,
    READY,
    EndpointKey,
    NoSuchPort,
    NoWeight,
    Ready,
    State,
    Verdict,
)


class Resolved(NamedTuple):
    """One endpoint as it stands for one port of its service; port 0 where it has none."""

    endpoint: Endpoint
    port: int
    state: State

    @property
    def key(self) -> EndpointKey:
        """What verdicts are found by."""
        return EndpointKey(self.endpoint.address, self.port, self.endpoint.netns)

    @property
    def usable(self) -> bool:
        """Whether new connections may go there."""
        return self.state is READY


@dataclass(frozen=True, slots=True)
class Selected:
    """Endpoints of the host that a service's selector picked. A numeric target is theirs as it is,
    as with pods: their own list of ports is for targets by name."""

    endpoints: tuple[Endpoint, ...] = ()


NOBODY = Selected()
NO_VERDICTS: Mapping[EndpointKey, Verdict] = {}


def resolve(
    service: Service,
    port: ServicePort,
    sets: Iterable[EndpointSet] = (),
    selected: Selected = NOBODY,
    verdicts: Mapping[EndpointKey, Verdict] = NO_VERDICTS,
) -> list[Resolved]:
    """Everybody who was said to answer for a port, in the order said, each once.

    One that is listed twice (Endpoints and the slice made of them) counts as it was first listed.
    """
    found: dict[tuple[object, int, int], Resolved] = {}
    unready = service.publish_unready
    for listed, endpoints in _sources(sets, selected):
        for endpoint in endpoints:
            number = _listed_port(endpoint, port) if listed else _own_port(endpoint, port)
            key = (endpoint.address, number, endpoint.netns)
            if key in found and number:
                continue
            if not number:
                state: State = NoSuchPort(port.target, tuple(map(_shown, endpoint.ports.items())))
                found[(endpoint.address, -len(found) - 1, endpoint.netns)] = Resolved(
                    endpoint, 0, state
                )
                continue
            state = _state(endpoint, number, unready, verdicts)
            found[key] = Resolved(endpoint, number, state)
    result = list(found.values())
    return _split(service.splits, result) if service.splits else result


def split_of(splits: tuple[Split, ...], endpoint: Endpoint) -> int:
    """Which split an endpoint belongs to, the first that selects it; -1: none does."""
    for position, split in enumerate(splits):
        if split.labels.items() <= endpoint.labels.items():
            return position
    return -1


def _sources(
    sets: Iterable[EndpointSet], selected: Selected
) -> list[tuple[bool, tuple[Endpoint, ...]]]:
    sources = [(True, one.endpoints) for one in sets]
    if selected.endpoints:
        sources.append((False, selected.endpoints))
    return sources


def _state(
    endpoint: Endpoint, port: int, unready: bool, verdicts: Mapping[EndpointKey, Verdict]
) -> State:
    """Draining first: who is leaving is not checked any more. A weight of 0 is nobody's fault."""
    if endpoint.draining:
        return DRAINING
    if not endpoint.ready and not unready:
        return NOT_READY
    if verdicts:
        verdict = verdicts.get(EndpointKey(endpoint.address, port, endpoint.netns))
        if verdict is not None:
            return verdict
    if endpoint.weight <= 0:
        return NoWeight("its weight is 0")
    return READY


def _split(splits: tuple[Split, ...], resolved: list[Resolved]) -> list[Resolved]:
    """Ready endpoints that no split, or one of weight 0, selects: said so."""
    result = []
    for one in resolved:
        state = one.state
        if isinstance(state, Ready):
            position = split_of(splits, one.endpoint)
            if position < 0:
                state = NoWeight("no split selects it")
            elif splits[position].weight <= 0:
                state = NoWeight("the weight of its split is 0")
        result.append(one._replace(state=state))
    return result


def _listed_port(endpoint: Endpoint, port: ServicePort) -> int:
    """The port of an endpoint that was listed with its ports; 0 when it has none for this.

    A list's ports go by the name of the service's port (EndpointSlice), or by the target's; its
    only, nameless one is meant in any case (Consul, `ip:port` lists).
    """
    ports = endpoint.ports
    target = port.target
    if isinstance(target, str):
        found = ports.get(target)
        if found is not None:
            return found
    found = ports.get(port.name)
    if found is not None:
        return found
    if len(ports) == 1 and "" in ports:
        return ports[""]
    if isinstance(target, int) and (not ports or target in ports.values()):
        return target
    return 0


def _own_port(endpoint: Endpoint, port: ServicePort) -> int:
    """The port of a workload of the host; 0 when the target is a name it does not have."""
    target = port.target
    return target if isinstance(target, int) else endpoint.ports.get(target, 0)


def _shown(port: tuple[str, int]) -> str:
    name, number = port
    return f"{name} ({number})" if name else str(number)
