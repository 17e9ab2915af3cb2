# SPDX-License-Identifier: Apache-2.0
"""Addresses and numbers of services: given once, kept for as long as anybody knows of them.

Where a service's address comes from is a hash of its name, so that two nodes, or one that has lost
its state, come to the same addresses unless two names meet; the second of them takes the next free
one. What was given before always wins over the hash.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from undermesh.model.service import Address, Service, ServiceId, ServiceName

ID_LIMIT = 2**32
IPV4_RANGE = IPv4Network("198.18.0.0/15")
IPV6_RANGE = IPv6Network("fd00:756d:6573:6800::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Where addresses are given from. IPv6 ones have the low 32 bits of the IPv4 one."""

    ipv4: IPv4Network = IPV4_RANGE
    ipv6: IPv6Network = IPV6_RANGE

    def pair(self, offset: int) -> tuple[Address, Address]:
        """The addresses at an offset within the IPv4 range."""
        first = self.ipv4.network_address + offset
        return first, IPv6Address(int(self.ipv6.network_address) | int(first))

    def given(self, address: Address) -> bool:
        """Whether an address is one of those that are given here."""
        return address in (self.ipv4 if isinstance(address, IPv4Address) else self.ipv6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """Addresses by service, to be kept. `problems`: services that have none, and why."""

    addresses: Mapping[ServiceName, tuple[Address, ...]]
    problems: Mapping[ServiceName, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """Numbers by service, those of services that are gone and still known included.

    `next` is the first that was never given. `problems`: services that have none, and why.
    """

    ids: Mapping[ServiceName, ServiceId]
    next: int
    problems: Mapping[ServiceName, str]


def assign(
    known: Mapping[ServiceName, tuple[Address, ...]],
    wanted: Collection[Service],
    ranges: Ranges | None = None,
) -> Assigned:
    """Addresses for the services wanted, those of `known` kept.

    A service's own addresses are honoured before anything else; of two services that claim one,
    the one that had it keeps it, else the first by name. Headless and external services get none.
    What `known` says of services that are not wanted is given to nobody else: they may come back.
    """
    ranges = ranges or Ranges()
    services = sorted(wanted, key=lambda service: service.name)
    taken: dict[Address, ServiceName] = {}
    result: dict[ServiceName, tuple[Address, ...]] = {}
    problems: dict[ServiceName, str] = {}
    had = [s for s in services if set(s.addresses) & set(known.get(s.name, ()))]
    for service in (*had, *services):
        if service.addresses and service.name not in result and _balanced(service):
            result[service.name] = _claim(service, taken, problems)
    for service in services:
        kept = known.get(service.name, ())
        if service.addresses or not _balanced(service) or not kept:
            continue
        if all(ranges.given(address) and address not in taken for address in kept):
            result[service.name] = kept
            taken.update(dict.fromkeys(kept, service.name))
    missing = [s.name for s in services if s.name not in result and _balanced(s)]
    others = {address for found in known.values() for address in found}
    result |= _give(missing, others | taken.keys(), ranges, problems)
    return Assigned(addresses=result, problems=problems)


def number(
    known: Mapping[ServiceName, ServiceId], wanted: Collection[ServiceName], following: int = 1
) -> Numbered:
    """Numbers for the services wanted, those of `known` kept.

    `following` is `Numbered.next` of the last time: a number is never given a second time, also
    when nobody remembers whose it was.
    """
    ids = dict(known)
    turn = max(following, max(known.values(), default=0) + 1, 1)
    problems: dict[ServiceName, str] = {}
    for name in sorted(set(wanted) - set(known)):
        if turn >= ID_LIMIT:
            problems[name] = f"numbering service {name}: all {ID_LIMIT - 1} numbers were given"
            continue
        ids[name] = ServiceId(turn)
        turn += 1
    return Numbered(ids=ids, next=turn, problems=problems)


def _balanced(service: Service) -> bool:
    return not service.headless and service.external is None


def _claim(
    service: Service, taken: dict[Address, ServiceName], problems: dict[ServiceName, str]
) -> tuple[Address, ...]:
    """Those of a service's own addresses that are nobody else's."""
    mine = []
    for address in dict.fromkeys(service.addresses):
        owner = taken.setdefault(address, service.name)
        if owner == service.name:
            mine.append(address)
        else:
            problems[service.name] = (
                f"service {service.name} asks for {address}, which service {owner} has: "
                "give one of them another address"
            )
    return tuple(mine)


def _give(
    names: Sequence[ServiceName],
    taken: Collection[Address],
    ranges: Ranges,
    problems: dict[ServiceName, str],
) -> dict[ServiceName, tuple[Address, ...]]:
    """A pair for each, the first free one from where its name's hash falls.

    Network and broadcast address of the range are left out.
    """
    usable = ranges.ipv4.num_addresses - 2
    first = int(ranges.ipv4.network_address)
    low = (int(address) & 0xFFFFFFFF for address in taken if ranges.given(address))
    busy = {bits - first for bits in low}
    free = usable - sum(1 for offset in busy if 1 <= offset <= usable)
    result: dict[ServiceName, tuple[Address, ...]] = {}
    for name in names:
        if free <= 0:
            problems[name] = _exhausted(name, ranges)
            continue
        digest = hashlib.blake2b(f"{name.namespace}/{name.name}".encode(), digest_size=8).digest()
        offset = int.from_bytes(digest, "big") % usable
        while offset + 1 in busy:
            offset = (offset + 1) % usable
        busy.add(offset + 1)
        free -= 1
        result[name] = ranges.pair(offset + 1)
    return result


def _exhausted(name: ServiceName, ranges: Ranges) -> str:
    return (
        f"giving service {name} an address: all of {ranges.ipv4} is taken; "
        "give a larger range, or the service an address of its own"
    )
