# SPDX-License-Identifier: Apache-2.0
"""HTB on one device: what should be there, what is, and the steps from one to the other. Pure.

    756d:            htb, default 756d:10
    └── 756d:1       all the device can carry
        ├── 756d:16  critical, served first (prio 0)
        ├── 756d:10  normal, and whatever nobody named (prio 1)
        ├── 756d:12  bulk (prio 2)
        └── 756d:…   Priorities with a rate or ceiling of their own

Every class may borrow what others leave, up to its ceiling, in the order of `prio` (tc-htb(8)).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from undermesh.model.priority import MAJOR, TrafficClass, class_id
from undermesh.model.service import Level

ROOT = MAJOR << 16
WHOLE = ROOT | 1
DEFAULT = class_id(Level.NORMAL)
IPV4, IPV6 = 0x0800, 0x86DD
"""ETH_P_IP, ETH_P_IPV6."""

UNKNOWN_SPEED = 100_000_000_000
"""Of a device that does not say how fast it is: nothing is held back, the order alone is kept."""

_SHARES: Mapping[Level, float] = {Level.CRITICAL: 0.5, Level.NORMAL: 0.25, Level.BULK: 0.01}
"""Of what no rate has claimed, what a level is sure of even when the device is full. Bulk's is so
small because a class within its rate is served before any that borrows."""

_LEAST = 64_000

USUAL_BURST = 65_536
"""IFLA_GSO_MAX_SIZE as the kernel sets it: bytes TCP hands to a device as one packet."""

_OUR_BURST = 0x6D
"""Low byte of every such size that is ours, by which it is known from one somebody else has set."""

_PRIO: Mapping[Level, int] = {Level.CRITICAL: 0, Level.NORMAL: 1, Level.BULK: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class HtbClass:
    """A class as the kernel has it. Rates are bits per second; `quantum` is bytes."""

    parent: int
    prio: int
    rate: int
    ceiling: int
    quantum: int

    @property
    def burst(self) -> int:
        """Bytes that may leave at once at the rate: a millisecond's worth and a packet."""
        return self.rate // 8000 + 1600

    @property
    def ceiling_burst(self) -> int:
        """The same at the ceiling."""
        return self.ceiling // 8000 + 1600


Match: TypeAlias = tuple[int, int]
"""(ETH_P_*, DSCP) of packets that carry no priority."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """What is on a device, or should be. `leaves` are the qdiscs below classes.

    `burst` is the most that TCP hands to the device at once. HTB schedules that as one packet: at
    40 Mbit/s, 64 kB of bulk are 13 ms that nothing important gets through the link behind it.
    """

    root: bool
    burst: int = USUAL_BURST
    classes: Mapping[int, HtbClass] = field(default_factory=dict)
    leaves: Mapping[int, str] = field(default_factory=dict)
    filters: Mapping[Match, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AddRoot:
    """Puts our qdisc on the device."""


@dataclass(frozen=True, slots=True)
class PutClass:
    """Makes a class, or changes it while packets go through it."""

    id: int
    to: HtbClass


@dataclass(frozen=True, slots=True)
class PutLeaf:
    """Gives a class a queue that keeps its flows apart, where the kernel has one."""

    parent: int


@dataclass(frozen=True, slots=True)
class PutFilter:
    """Sends packets with a DSCP to a class."""

    match: Match
    to: int


@dataclass(frozen=True, slots=True)
class DropFilter:
    """No longer does."""

    match: Match


@dataclass(frozen=True, slots=True)
class DropClass:
    """Removes a class; what waits in it is lost, as with any queue."""

    id: int


@dataclass(frozen=True, slots=True)
class PutBurst:
    """Sets what TCP may hand to the device at once, for connections made from now on."""

    bytes: int


Step: TypeAlias = AddRoot | PutClass | PutLeaf | PutFilter | DropFilter | DropClass | PutBurst


def is_ours(burst: int) -> bool:
    """Whether it was set by a PutBurst."""
    return burst != USUAL_BURST and burst & 0xFF == _OUR_BURST


def wanted(classes: Sequence[TrafficClass], *, speed: int) -> Scheduled:
    """What a device of that speed (bits per second; 0: unknown) should have."""
    whole = speed or UNKNOWN_SPEED
    found = {WHOLE: _htb_class(ROOT, 0, whole, whole)}
    free = max(0, whole - sum(one.rate for one in classes))
    unset = [one.level for one in classes if not one.rate]
    filters: dict[Match, int] = {}
    for one in classes:
        ceiling = min(one.ceiling or whole, whole)
        rate = one.rate or int(free * _SHARES[one.level] / unset.count(one.level))
        rate = max(min(rate, ceiling), _LEAST)
        found[one.id] = _htb_class(WHOLE, _PRIO[one.level], rate, max(rate, ceiling))
        for dscp in one.dscp:
            filters[IPV4, dscp] = filters[IPV6, dscp] = one.id
    leaves = {one.id: "" for one in classes}
    burst = _burst(min(one.ceiling for one in found.values()))
    return Scheduled(root=True, burst=burst, classes=found, leaves=leaves, filters=filters)


def steps(to: Scheduled, now: Scheduled) -> Iterator[Step]:
    """In an order that leaves no filter without its class and no class without its parent."""
    if not now.root:
        yield AddRoot()
    for number, one in sorted(to.classes.items(), key=lambda item: item[0] != WHOLE):
        if now.classes.get(number) != one:
            yield PutClass(number, one)
    for number in to.leaves:
        if number not in now.leaves:
            yield PutLeaf(number)
    for match, number in to.filters.items():
        if now.filters.get(match) != number:
            yield PutFilter(match, number)
    for match in now.filters:
        if match not in to.filters:
            yield DropFilter(match)
    for number in now.classes:
        if number not in to.classes:
            yield DropClass(number)
    if to.burst != now.burst and (now.burst == USUAL_BURST or is_ours(now.burst)):
        yield PutBurst(to.burst)


def _burst(slowest: int) -> int:
    """A millisecond of the lowest ceiling, two packets at least."""
    wanted = max(slowest // 8000, 3_500)
    return USUAL_BURST if wanted >= USUAL_BURST - 0xFF else wanted & ~0xFF | _OUR_BURST


def _htb_class(parent: int, prio: int, rate: int, ceiling: int) -> HtbClass:
    """The quantum, which classes of one prio take turns with, is a tenth of a second's rate as
    HTB's own default, between a packet and what HTB does not warn of."""
    rate, ceiling = rate - rate % 8, ceiling - ceiling % 8  # the kernel counts bytes
    quantum = min(max(rate // 80, 1514), 60_000)
    return HtbClass(parent=parent, prio=prio, rate=rate, ceiling=ceiling, quantum=quantum)
