# SPDX-License-Identifier: Apache-2.0
"""Who is at an end of a connection: node, namespace, name and what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NewType

NodeId = NewType("NodeId", str)
"""The name of one node; rows of every kind carry it."""

Number = NewType("Number", int)
"""The kernel's number for one end of an edge on this node, u32, never reused while it runs."""

IdentityId = NewType("IdentityId", int)
"""The number given to a label set: 0 unknown, 1..255 reserved, to 2**24-1 cluster-wide."""

CgroupKind = Literal["root", "unit", "session", "slice", "container", "pod", "run", "cgroup"]
"""What a cgroup is to whoever made it: systemd, a container runtime, `undermesh run`."""

NO_LABELS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, order=True)
class WorkloadName:
    """How a row names a workload. Several numbers may share one name and are then one row."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return self.name if self.namespace == "default" else f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One executable in one cgroup on one node, which is what the kernel gives a number to.

    Times are nanoseconds of CLOCK_MONOTONIC. `started_ns` is the birth of the cgroup where that
    was seen, and else the first socket of this executable. `gone_ns` is None while it is there.
    `pids` is filled by whoever shows the workload; it is not kept current.
    """

    node: NodeId
    number: Number
    namespace: str
    name: str
    kind: CgroupKind
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    identity: IdentityId = IdentityId(0)
    exe: str
    cgroup: str
    cgroup_id: int
    pids: tuple[int, ...] = ()
    started_ns: int
    gone_ns: int | None = None

    @property
    def title(self) -> WorkloadName:
        """The name its rows carry."""
        return WorkloadName(self.namespace, self.name)
