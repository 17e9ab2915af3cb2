# SPDX-License-Identifier: Apache-2.0
"""The way of a name: names → service → backends, and why each backend is or is not used."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from undermesh.app.backends import BackendOwners
from undermesh.app.ports import Structured
from undermesh.app.steering import Steering
from undermesh.compile.desired import Refusal
from undermesh.compile.shards import resolve
from undermesh.model.service import (
    Address,
    Balancing,
    Locality,
    ServiceId,
    ServiceName,
    ServicePort,
)
from undermesh.traffic.endpoints import Resolved

SUFFIXES = (".svc.cluster.local", ".svc.mesh", ".svc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the kernel counted of a backend."""

    open: int = 0
    connects: int = 0
    failures: int = 0
    requests: int = 0
    errors: int = 0
    ewma_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One endpoint of one port. `state` says why it is (not) used."""

    address: Address
    port: int
    usable: bool
    state: str
    target: str
    node: str
    zone: str
    weight: int
    netns: int
    load: Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One port of a service. `refused` are the fronts that refuse every connection, and why."""

    port: ServicePort
    backends: tuple[Backend, ...]
    refused: tuple[str, ...]
    elsewhere: tuple[str, ...]
    """Why those in other network namespaces are refused, where some are not."""

    @property
    def usable(self) -> int:
        """How many backends may be chosen."""
        return sum(1 for one in self.backends if one.usable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One service as it stands. `external` is the chain of names it stands for."""

    service: ServiceName
    number: ServiceId | None
    addresses: tuple[Address, ...]
    names: tuple[str, ...]
    balancing: Balancing
    locality: Locality
    headless: bool
    external: tuple[str, ...]
    ports: tuple[Port, ...]
    problems: tuple[str, ...]
    origin: str

    @property
    def answers(self) -> bool:
        """Whether somebody would answer on every port."""
        if self.external:
            return True
        return bool(self.ports) and all(port.usable for port in self.ports)


class UnknownName(Exception):
    """No service has that name or address. `near` are names like it."""

    def __init__(self, asked: str, near: tuple[str, ...]) -> None:
        super().__init__(f"no service is called {asked!r}")
        self.asked = asked
        self.near = near


def explain(steering: Steering, asked: str, port: int | None = None) -> Explained:
    """What becomes of a connection to `asked`: a name as applications say it, or an address.

    Raises UnknownName.
    """
    name = _name(steering, asked)
    service = steering.services[name]
    world = steering.world
    desired = steering.desired
    shard = desired.shards.get(steering.id_of(name) or ServiceId(0))
    loads, owners = steering.loads(), steering.owners
    numbers = _numbers(owners, steering.id_of(name))
    entry = desired.names.get(name)
    resolved = {
        one: resolve(world, service, one) if world is not None else [] for one in service.ports
    }
    refusals = shard.refused if shard else ()
    ports = tuple(
        _port(one, [_backend(found, loads, numbers) for found in resolved[one]], refusals)
        for one in service.ports
        if port in (None, one.port)
    )
    said = set(map(str, refusals))
    return Explained(
        service=name,
        number=steering.id_of(name),
        addresses=entry.addresses if entry is not None else (),
        names=_names(name),
        balancing=service.balancing,
        locality=service.locality,
        headless=service.headless,
        external=_external(
            service.external.name if service.external else "", entry.external if entry else None
        ),
        ports=ports,
        problems=tuple(one for one in steering.problems.get(name, ()) if one not in said),
        origin=service.origin,
    )


def _port(port: ServicePort, backends: list[Backend], refusals: Iterable[Refusal]) -> Port:
    why = tuple(sorted({one.why for one in refusals if one.port == port}))
    served = any(backend.usable for backend in backends)
    return Port(
        port=port,
        backends=tuple(backends),
        refused=() if served else why,
        elsewhere=why if served else (),
    )


def _name(steering: Steering, asked: str) -> ServiceName:
    services = steering.services
    found = next((one for one in _candidates(asked) if one in services), None)
    if found is not None:
        return found
    try:
        address = ip_address(asked.strip("[]"))
    except ValueError:
        pass
    else:
        for name, entry in steering.desired.names.items():
            if address in entry.addresses:
                return name
    known = [str(one) for one in services] + [f"{one.name}.{one.namespace}" for one in services]
    near = difflib.get_close_matches(asked, known, n=3, cutoff=0.5)
    raise UnknownName(asked, tuple(near))


def _candidates(asked: str) -> Iterable[ServiceName]:
    """cart, shop/cart, cart.shop, cart.shop.svc, cart.shop.svc.mesh."""
    text = asked.rstrip(".").lower()
    for suffix in SUFFIXES:
        if text.endswith(suffix):
            text = text.removesuffix(suffix)
            break
    namespace, slash, name = text.partition("/")
    if slash:
        yield ServiceName(namespace, name)
        return
    yield ServiceName("default", text)
    name, dot, namespace = text.rpartition(".")
    if dot:
        yield ServiceName(namespace, name)


def _names(name: ServiceName) -> tuple[str, ...]:
    short = (name.name,) if name.namespace == "default" else ()
    full = f"{name.name}.{name.namespace}"
    return (*short, full, f"{full}.svc.mesh")


def _external(first: str, last: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in (first, last) if one))


def _numbers(owners: BackendOwners, service: ServiceId | None) -> dict[object, int]:
    """Backend numbers of one service by endpoint."""
    if service is None:
        return {}
    return {key: int(number) for number, key in owners.of(service)}


def _backend(found: Resolved, loads: Structured, numbers: dict[object, int]) -> Backend:
    endpoint = found.endpoint
    number = numbers.get(found.key)
    row = loads[number] if number is not None else None
    return Backend(
        address=endpoint.address,
        port=found.port,
        usable=found.usable,
        state=str(found.state),
        target=endpoint.target,
        node=endpoint.node,
        zone=endpoint.zone,
        weight=endpoint.weight,
        netns=endpoint.netns,
        load=Load()
        if row is None
        else Load(
            open=int(row["open"]),
            connects=int(row["connects"]),
            failures=int(row["failures"]),
            requests=int(row["requests"]),
            errors=int(row["errors"]),
            ewma_ns=int(row["ewma_ns"]),
        ),
    )
