# SPDX-License-Identifier: Apache-2.0
"""Service names → what to answer. Pure.

A service `cart` of namespace `shop` is found as cart.shop, cart.shop.svc, cart.shop.svc.mesh and
cart.shop.svc.cluster.local, and as cart by those whose own namespace is `shop`. Below svc.mesh all
is ours: what is not there does not exist (RFC 1034 4.3.2). Everywhere else only what exists is
ours: svc.cluster.local may have a cluster's own resolver, and `.shop` is a domain of the world.

Records are those of the Kubernetes DNS specification 1.1: addresses, SRV per named port, and for
headless services a name per endpoint (10-0-0-7.cart.shop.svc.mesh).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from undermesh.model.names import NameEntry
from undermesh.model.service import ANY_NETNS, Address, Endpoint, ServicePort
from undermesh.names.answers import (
    NOT_OURS,
    OWN,
    Answer,
    Asked,
    Chase,
    Kind,
    NotOurs,
    Outcome,
    Rcode,
    Record,
    Target,
)

SUFFIXES = (OWN, "svc.cluster.local", "svc")
_ALIASES = 8
_REVERSE = (".in-addr.arpa", ".ip6.arpa")


@dataclass(frozen=True, slots=True)
class _Spot:
    """A name taken apart: `_http._tcp` . host . service . namespace . suffix. `zone` is whose SOA
    says no: the suffix, or where the name has none, the service as it was called."""

    labels: tuple[str, ...]
    host: str
    service: str
    namespace: str
    suffix: str
    zone: str

    @property
    def base(self) -> str:
        """The service's name in the form it was asked for."""
        return f"{self.service}.{self.namespace}.{self.suffix or OWN}"


class Zone:
    """Every name of a moment. Never changes; a change is a new one."""

    def __init__(self, entries: Iterable[NameEntry] = ()) -> None:
        self._entries = {(e.service.namespace, e.service.name): e for e in entries}
        self._namespaces = {namespace for namespace, _ in self._entries}
        self._pointers: dict[bytes, NameEntry] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, namespace: str, name: str) -> NameEntry | None:
        """The service of that name."""
        return self._entries.get((namespace, name))

    def ask(self, asked: Asked) -> Outcome:
        """What to answer."""
        if asked.name.endswith(_REVERSE):
            return self._reverse(asked)
        spot = _take_apart(asked.name, asked.home)
        if spot is None:
            return self._apex(asked)
        entry = self.find(spot.namespace, spot.service)
        if entry is None:
            return self._absent(spot)
        if asked.kind == Kind.AXFR:
            return Answer(Rcode.REFUSED)
        if entry.external:
            return self._alias(entry, spot, asked)
        return _of_service(entry, spot, asked)

    def _apex(self, asked: Asked) -> Outcome:
        """Names with no service in them: svc.mesh, shop.svc.mesh, and whatever is not ours."""
        if asked.name == OWN:
            return Answer()
        if asked.name.endswith(f".{OWN}"):
            known = asked.name.removesuffix(f".{OWN}") in self._namespaces
            return Answer(Rcode.NOERROR if known else Rcode.NXDOMAIN)
        return NOT_OURS

    def _absent(self, spot: _Spot) -> Outcome:
        if spot.suffix == OWN:
            return Answer(Rcode.NXDOMAIN)
        if spot.suffix == "svc" and spot.namespace in self._namespaces:
            return Answer(Rcode.NXDOMAIN, zone="svc")
        return NOT_OURS

    def _reverse(self, asked: Asked) -> Outcome:
        if self._pointers is None:  # few ever ask: made when the first one does
            self._pointers = {
                address.packed: entry
                for entry in self._entries.values()
                for address in entry.addresses
            }
        entry = self._pointers.get(_reversed(asked.name))
        if entry is None:
            return NOT_OURS
        name = f"{entry.service.name}.{entry.service.namespace}.{OWN}"
        if asked.kind in (Kind.PTR, Kind.ANY):
            return Answer(answers=(Record(asked.name, Kind.PTR, name),))
        return Answer(zone=asked.name)

    def _alias(self, entry: NameEntry, spot: _Spot, asked: Asked) -> Outcome:
        """Follows ExternalName to its end, if that end is ours."""
        if spot.labels or spot.host:
            return Answer(Rcode.NXDOMAIN, zone=spot.zone)
        target = entry.external.rstrip(".").lower()
        address = _literal(target)
        if address is not None:
            return _addresses(asked, (address,), spot)
        aliases = [Record(asked.name, Kind.CNAME, target)]
        if asked.kind in (Kind.CNAME, Kind.ANY):
            return Answer(answers=tuple(aliases))
        for _ in range(_ALIASES):
            further = self._follow(target, asked)
            match further:
                case NotOurs():
                    return Chase(tuple(aliases), target)
                case str():
                    aliases.append(Record(target, Kind.CNAME, further))
                    target = further
                case Answer():
                    found = (*aliases, *further.answers)
                    return Answer(further.rcode, found, further.additional, further.zone)
        return Answer(Rcode.SERVFAIL)

    def _follow(self, target: str, asked: Asked) -> Answer | NotOurs | str:
        """What an alias's target is: an answer, the next alias, or not ours."""
        spot = _take_apart(target, asked.home)
        if spot is None or not spot.suffix:
            return NOT_OURS
        entry = self.find(spot.namespace, spot.service)
        if entry is None:
            absent = self._absent(spot)
            return absent if isinstance(absent, Answer) else NOT_OURS
        further = entry.external.rstrip(".").lower()
        if further and _literal(further) is None:
            return further
        there = Asked(target, asked.kind, asked.home, asked.netns)
        if further:
            return _addresses(there, (ip_address(further),), spot)
        return _of_service(entry, spot, there)


def _reversed(name: str) -> bytes:
    """The address in 7.0.18.198.in-addr.arpa (RFC 1035 3.5) or its IPv6 kin (RFC 3596 2.5); nothing
    where there is none."""
    labels = name.split(".")[-3::-1]
    try:
        if name.endswith(_REVERSE[0]):
            return bytes(map(int, labels)) if len(labels) == 4 else b""
        single = len(labels) == 32 and all(len(label) == 1 for label in labels)
        return bytes.fromhex("".join(labels)) if single else b""
    except ValueError:
        return b""


def _take_apart(name: str, home: str) -> _Spot | None:
    """None when there is no service in it, by its shape."""
    suffix = next((s for s in SUFFIXES if name.endswith(f".{s}")), "")
    parts = name.removesuffix(f".{suffix}").split(".") if suffix else name.split(".")
    leading = 0
    while leading < 2 and leading < len(parts) and parts[leading].startswith("_"):
        leading += 1
    labels, rest = tuple(parts[:leading]), parts[leading:]
    zone = suffix or ".".join(rest)
    match rest:
        case [service] if not suffix:
            return _Spot(labels, "", service, home, "", service)
        case [service, namespace] if name != OWN:
            return _Spot(labels, "", service, namespace, suffix, zone)
        case [host, service, namespace] if suffix and not labels:
            return _Spot(labels, host, service, namespace, suffix, zone)
    return None


def _of_service(entry: NameEntry, spot: _Spot, asked: Asked) -> Answer:
    if spot.labels:
        return _services(entry, spot, asked)
    here = [e for e in entry.endpoints if e.netns in (ANY_NETNS, asked.netns)]
    if spot.host:
        found = [e.address for e in here if _dashed(e.address) == spot.host]
        if entry.addresses or not found:
            return Answer(Rcode.NXDOMAIN, zone=spot.zone)
        return _addresses(asked, found, spot)
    if asked.kind == Kind.SRV:
        return _targets(entry, entry.ports, spot, asked)
    addresses = entry.addresses or tuple(dict.fromkeys(e.address for e in here))
    return _addresses(asked, addresses, spot)


def _addresses(asked: Asked, addresses: Iterable[Address], spot: _Spot) -> Answer:
    wanted = [
        Record(asked.name, kind, address)
        for address in addresses
        if asked.kind in (kind := _kind(address), Kind.ANY)
    ]
    return Answer(answers=tuple(wanted), zone=spot.zone)


def _services(entry: NameEntry, spot: _Spot, asked: Asked) -> Answer:
    """`_http._tcp.cart.shop.svc.mesh` (RFC 2782), and the empty name `_tcp` below it."""
    transport = spot.labels[-1][1:]
    of_transport = [port for port in entry.ports if port.transport.value == transport]
    if len(spot.labels) == 1:
        rcode = Rcode.NOERROR if of_transport else Rcode.NXDOMAIN
        return Answer(rcode, zone=spot.zone)
    ports = [port for port in of_transport if port.name and port.name == spot.labels[0][1:]]
    if not ports:
        return Answer(Rcode.NXDOMAIN, zone=spot.zone)
    if asked.kind not in (Kind.SRV, Kind.ANY):
        return Answer(zone=spot.zone)
    return _targets(entry, ports, spot, asked)


def _targets(entry: NameEntry, ports: Iterable[ServicePort], spot: _Spot, asked: Asked) -> Answer:
    answers: list[Record] = []
    hosts: dict[str, tuple[Address, ...]] = {}
    for port in ports:
        if entry.addresses:
            hosts[spot.base] = entry.addresses
            answers.append(Record(asked.name, Kind.SRV, Target(100, port.port, spot.base)))
            continue
        for endpoint in entry.endpoints:
            number = _number(endpoint, port)
            if number and endpoint.netns in (ANY_NETNS, asked.netns):
                host = f"{_dashed(endpoint.address)}.{spot.base}"
                hosts[host] = (endpoint.address,)
                weight = min(endpoint.weight, 65535)
                answers.append(Record(asked.name, Kind.SRV, Target(weight, number, host)))
    return Answer(answers=tuple(answers), additional=tuple(_known_hosts(hosts)), zone=spot.zone)


def _known_hosts(hosts: dict[str, tuple[Address, ...]]) -> Iterator[Record]:
    for host, addresses in hosts.items():
        for address in addresses:
            yield Record(host, _kind(address), address)


def _number(endpoint: Endpoint, port: ServicePort) -> int:
    """The port of an endpoint that stands for one of the service's; 0 when it has none."""
    if port.name in endpoint.ports:
        return endpoint.ports[port.name]
    if isinstance(port.target, str):
        return endpoint.ports.get(port.target, 0)
    return port.target


def _kind(address: Address) -> Kind:
    return Kind.A if isinstance(address, IPv4Address) else Kind.AAAA


def _dashed(address: Address) -> str:
    """10-0-0-7, and for IPv6 all eight groups: no label may begin with a dash."""
    if isinstance(address, IPv4Address):
        return str(address).replace(".", "-")
    return address.exploded.replace(":", "-")


def _literal(name: str) -> Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None
