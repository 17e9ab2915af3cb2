# SPDX-License-Identifier: Apache-2.0
"""Important first: what sockets are given, and the classes their packets are scheduled in.

One number does for both. A socket's priority (SO_PRIORITY) is the id of an HTB class, major:minor,
which HTB takes at its word (htb_classify, net/sched/sch_htb.c). On a device without our classes
only its low four bits count, which pick a band of pfifo_fast, prio and fq, so these are Linux's own
priorities of the same meaning (<linux/pkt_sched.h>: TC_PRIO_INTERACTIVE, BESTEFFORT, BULK).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from undermesh.model.service import Level, ServiceId, ServiceName

MAJOR = 0x756D
"""Of every handle and class that is ours: "um"."""

BANDS: Mapping[Level, int] = {Level.CRITICAL: 6, Level.NORMAL: 0, Level.BULK: 2}
"""The low four bits of a class of each level."""

SHARED = 1
"""The index of the classes that Priorities without a rate of their own share, one a level."""

INDICES = 1 << 12
"""Indices of classes are below this."""

NO_SERVICE = ServiceId(0)


def class_id(level: Level, index: int = SHARED) -> int:
    """The id of a class, which is also the priority of the sockets in it."""
    return MAJOR << 16 | index << 4 | BANDS[level]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Marked:
    """Whose sockets are meant, one of three: connections to a `service`, a workload's server of one
    (`cgroup_id` and `port`), or everything a workload does (`cgroup_id`). The first that fits wins.
    """

    cgroup_id: int = 0
    port: int = 0
    service: ServiceId = NO_SERVICE


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What those sockets are given. `dscp` None and `congestion` "": what they had."""

    priority: int
    dscp: int | None = None
    congestion: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficClass:
    """One class on a device. Rates are bits per second; 0: what the level gets of the device.

    `dscp` are the marks that packets are known by which carry no priority: those that came over a
    veth from another network namespace have lost it (dev_forward_skb).
    """

    id: int
    level: Level
    rate: int = 0
    ceiling: int = 0
    dscp: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a device schedules, one class at least of each level."""

    device: str
    classes: tuple[TrafficClass, ...]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Serving:
    """A workload of this host that answers for a service at a port."""

    service: ServiceName
    cgroup_id: int
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """All that the Priorities ask for. `problems` are for the operator, one sentence each."""

    marks: Mapping[Marked, Mark]
    shapes: tuple[Shape, ...] = ()
    problems: tuple[str, ...] = ()
