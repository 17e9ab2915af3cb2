# SPDX-License-Identifier: Apache-2.0
"""One service → its shard: fronts, tables, backends."""

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from undermesh.compile.desired import (
    BACKEND,
    BALANCING,
    FRONT,
    L4,
    SLOT,
    TABLE,
    BackendFlag,
    Life,
    Refusal,
    ServiceFlag,
    Shard,
    joined,
)
from undermesh.compile.world import World
from undermesh.model.service import (
    ANY_NETNS,
    Address,
    Balancing,
    Netns,
    Service,
    ServiceId,
    ServiceName,
    ServicePort,
)
from undermesh.traffic import balancing, endpoints, maglev, shares
from undermesh.traffic.endpoints import Resolved
from undermesh.traffic.states import READY, CheckFailed, Draining, NotReady

_FRONT = struct.Struct("<16sQHBIIIBi")
_BACKEND = struct.Struct("<16sQHIBB")
_TABLE = struct.Struct("<II")
_MAPPED = bytes(10) + b"\xff\xff"
_USABLE = int(BackendFlag.USABLE)
_LIFE = {Draining: int(Life.DRAINING), CheckFailed: int(Life.DEAD), NotReady: int(Life.DEAD)}

assert (_FRONT.size, _BACKEND.size) == (FRONT.itemsize, BACKEND.itemsize)


def packed(address: Address) -> bytes:
    """An address as the kernel keeps it: 16 bytes, IPv4 mapped (RFC 4291 2.5.5.2)."""
    return address.packed if address.version == 6 else _MAPPED + address.packed


def resolve(world: World, service: Service, port: ServicePort) -> list[Resolved]:
    """The endpoints of one port, with the state each is in on this node: what `explain` shows."""
    found = endpoints.resolve(
        service,
        port,
        world.endpoint_sets.get(service.name, ()),
        world.selected.get(service.name, endpoints.NOBODY),
        world.verdicts.get(service.name, endpoints.NO_VERDICTS),
    )
    return shares.stays(service, found, world.node)


def shard(world: World, name: ServiceName) -> Shard | None:
    """What the kernel is to hold for a service; None where there is nothing to balance."""
    service = world.services[name]
    addresses = world.addresses.get(name, ())
    if service.headless or service.external is not None or not addresses:
        return None
    making = _Making(world, service, world.ids[name])
    for port in service.ports:
        making.port(port, addresses)
    return making.shard()


class _Making:
    """A shard on its way. Everything is packed at once: services are many, arrays are slow."""

    def __init__(self, world: World, service: Service, number: ServiceId) -> None:
        self._world = world
        self._service = service
        self._number = number
        self._fronts: list[bytes] = []
        self._backends: dict[bytes, int] = {}
        self._rows: list[bytes] = []
        self._slots: list[NDArray[np.void]] = []
        self._spans: list[tuple[int, int]] = []
        self._end = 0
        self._refused: list[Refusal] = []

    def port(self, port: ServicePort, addresses: Sequence[Address]) -> None:
        """All fronts of one port: for every address, and for every namespace with its own."""
        resolved = resolve(self._world, self._service, port)
        homes = {one.endpoint.netns for one in resolved if one.port}
        spaces = [ANY_NETNS, *sorted(homes - {ANY_NETNS})]
        made: dict[tuple[int, ...], int] = {}
        for netns in spaces:
            near = (
                resolved
                if not homes - {ANY_NETNS}
                else [one for one in resolved if one.endpoint.netns in (ANY_NETNS, netns)]
            )
            answering: dict[int, tuple[list[Resolved], int]] = {}
            for address in addresses:
                version = address.version
                if version not in answering:
                    members = family(near, version)
                    same = next((a for a in answering.values() if a[0] == members), None)
                    answering[version] = same or (members, self._table(members, made))
                members, table = answering[version]
                if table < 0:
                    why = refusal(self._service, resolved, near, members, address, netns)
                    self._refuse(port, address, netns, why)
                self._front(address, netns, port, table, by_netns=len(spaces) > 1)

    def shard(self) -> Shard:
        """The shard. Its arrays are read-only."""
        return Shard(
            id=self._number,
            name=self._service.name,
            fronts=np.frombuffer(b"".join(self._fronts), FRONT),
            backends=np.frombuffer(b"".join(self._rows), BACKEND),
            slots=_joined(self._slots),
            tables=np.frombuffer(b"".join(_TABLE.pack(*span) for span in self._spans), TABLE),
            drain=self._service.drain,
            refused=tuple(self._refused),
        )

    def _front(
        self, address: Address, netns: Netns, port: ServicePort, table: int, *, by_netns: bool
    ) -> None:
        service = self._service
        flags = int(ServiceFlag.FASTPATH) if service.fastpath else 0
        if table < 0:
            flags |= ServiceFlag.REFUSED
        if by_netns and netns == ANY_NETNS:
            flags |= ServiceFlag.BY_NETNS
        affinity = max(1, round(service.affinity.total_seconds())) if service.affinity else 0
        key = (packed(address), netns, port.port, L4[port.transport])
        value = (self._number, flags, min(affinity, 2**32 - 1), BALANCING[service.balancing])
        self._fronts.append(_FRONT.pack(*key, *value, table))

    def _refuse(self, port: ServicePort, address: Address, netns: Netns, why: str) -> None:
        self._refused.append(Refusal(port=port, address=address, netns=netns, why=why))

    def _table(self, members: Sequence[Resolved], made: dict[tuple[int, ...], int]) -> int:
        """The table these members are drawn from, -1 when nobody can be. Equal ones are made once.

        Members that get nothing are backends too: their connections go on, and are counted.
        """
        numbers = tuple([self._backend(one) for one in members])
        found = made.get(numbers)
        if found is None:
            found = made[numbers] = self._made(numbers, members)
        return found

    def _made(self, numbers: tuple[int, ...], members: Sequence[Resolved]) -> int:
        weights = shares.weights(
            self._service, members, node=self._world.node, zone=self._world.zone
        )
        if not any(weights):
            return -1
        if self._service.balancing is Balancing.MAGLEV:
            rows = self._maglev(members, weights, numbers)
        elif min(weights) == max(weights):
            rows = _even(numbers)
        else:
            rows = _rows(numbers, *balancing.alias(weights))
        self._spans.append((self._end, len(rows)))
        self._end += len(rows)
        self._slots.append(rows)
        return len(self._spans) - 1

    def _maglev(
        self, members: Sequence[Resolved], weights: Sequence[int], numbers: Sequence[int]
    ) -> NDArray[np.void]:
        """Sized by everybody who was said to answer, so that a failed check changes no size."""
        held = self._world.sizes.get(self._service.name, 0)
        size = balancing.maglev_size(len(members), held)
        chosen = _maglev_table(tuple(map(_identity, members)), tuple(weights), size)
        return _rows(numbers, chosen, chosen, np.full(size, balancing.ALWAYS, np.uint32))

    def _backend(self, one: Resolved) -> int:
        endpoint = one.endpoint
        usable = one.state is READY
        flags = _USABLE if usable else 0
        life = 0 if usable else _LIFE.get(type(one.state), 0)
        where = packed(endpoint.address)
        row = _BACKEND.pack(where, endpoint.netns, one.port, self._number, flags, life)
        found = self._backends.setdefault(row, len(self._rows))
        if found == len(self._rows):
            self._rows.append(row)
        return found


def family(resolved: Sequence[Resolved], version: int) -> list[Resolved]:
    """Who answers callers of one address family: endpoints of the same, and for an IPv6 caller,
    where no IPv6 endpoint is usable, those of IPv4 (a v4-mapped address reaches them)."""
    same = [one for one in resolved if one.port and one.endpoint.address.version == version]
    if version == 6 and not any(one.usable for one in same):
        other = [one for one in resolved if one.port and one.endpoint.address.version == 4]
        return other or same
    return same


def refusal(
    service: Service,
    resolved: Sequence[Resolved],
    near: Sequence[Resolved],
    members: Sequence[Resolved],
    address: Address,
    netns: Netns,
) -> str:
    """Why nobody can be drawn, the first reason that covers all of them."""
    if not resolved:
        picked = f" (selector {_labels(service)} picks nobody)" if service.selector else ""
        return f"no endpoint{picked}"
    if not near:
        spaces = sorted({one.endpoint.netns for one in resolved})
        return (
            f"all {len(resolved)} endpoints answer in network namespaces "
            f"{', '.join(map(str, spaces))} only, not in {netns or 'others'}"
        )
    if not members and any(one.port for one in near):
        return f"no endpoint is of {address}'s family (IPv{address.version})"
    if service.splits and any(one.usable for one in members):
        return "no split with a usable endpoint has a weight above 0"
    states = [one.state for one in (members or near)]
    reasons = list(dict.fromkeys(map(str, states)))
    shown = "; ".join(reasons[:3]) + (" …" if len(reasons) > 3 else "")
    return f"none of {len(states)} endpoints can be used: {shown}"


def _labels(service: Service) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(service.selector.items()))


def _identity(one: Resolved) -> bytes:
    """What a backend is to Maglev: the same on every node, and after every restart."""
    endpoint = one.endpoint
    return _BACKEND.pack(packed(endpoint.address), endpoint.netns, one.port, 0, 0, 0)


@lru_cache(maxsize=64)
def _maglev_table(keys: tuple[bytes, ...], weights: tuple[int, ...], size: int) -> balancing.Column:
    return maglev.table(keys, weights, size)


def _rows(
    numbers: Sequence[int],
    backend: balancing.Column,
    other: balancing.Column,
    threshold: balancing.Column,
) -> NDArray[np.void]:
    translated = np.array(numbers, np.uint32)
    rows = np.empty(len(backend), SLOT)
    rows["backend"] = translated[backend]
    rows["other"] = translated[other]
    rows["threshold"] = threshold
    rows.flags.writeable = False
    return rows


@lru_cache(maxsize=1024)
def _even(numbers: tuple[int, ...]) -> NDArray[np.void]:
    """A table of backends that all get the same."""
    rows = np.empty(len(numbers), SLOT)
    rows["backend"] = rows["other"] = numbers
    rows["threshold"] = balancing.ALWAYS
    rows.flags.writeable = False
    return rows


def _joined(parts: Iterable[NDArray[np.void]]) -> NDArray[np.void]:
    tables = list(parts)
    return tables[0] if len(tables) == 1 else joined(tables, SLOT)
