# SPDX-License-Identifier: Apache-2.0
"""Services as every dialect means them: a name, addresses, ports, and who answers.

Manifests of any dialect are read into these; from here on no room knows which it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, NamedTuple, NewType, TypeAlias

from undermesh.model.protocol import Transport
from undermesh.model.workload import NO_LABELS, NodeId

Address: TypeAlias = IPv4Address | IPv6Address

ServiceId = NewType("ServiceId", int)
"""The kernel's number for one service, u32, kept across restarts."""

BackendId = NewType("BackendId", int)
"""The kernel's number for one endpoint of one service port, u32; 0 is nobody."""

Netns = NewType("Netns", int)
"""A network namespace's cookie."""

ANY_NETNS = Netns(0)
NO_NODE = NodeId("")


class ServiceName(NamedTuple):
    """A service's name within the mesh; `str` is how tables show it. A tuple: what is looked up by
    it is looked up ten thousand times a round."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return self.name if self.namespace == "default" else f"{self.namespace}/{self.name}"


class Balancing(StrEnum):
    """How a backend is chosen for a new connection."""

    RANDOM = "random"
    MAGLEV = "maglev"
    LEAST_LOADED = "least-loaded"
    LEAST_LATENCY = "least-latency"


class Locality(StrEnum):
    """Which backends are preferred while they can take all of it; others take the rest."""

    ANY = "any"
    NODE = "node"
    ZONE = "zone"
    NODE_ONLY = "node-only"
    """Never leaves the node: `internalTrafficPolicy: Local`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """One port of a service. `target` is a port, or the name of one of the endpoints' ports."""

    name: str = ""
    port: int
    transport: Transport = Transport.TCP
    target: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpCheck:
    """Healthy when it accepts a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCheck:
    """Healthy when `path` answers with a status in `statuses` (first, last)."""

    path: str = "/"
    host: str = ""
    method: str = "GET"
    statuses: tuple[int, int] = (200, 399)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcCheck:
    """Healthy when grpc.health.v1.Health/Check answers SERVING for `service`."""

    service: str = ""


Probe: TypeAlias = TcpCheck | HttpCheck | GrpcCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Active checking. `port` 0 is the endpoint's own."""

    probe: Probe
    interval: timedelta = timedelta(seconds=10)
    timeout: timedelta = timedelta(seconds=2)
    healthy_after: int = 2
    unhealthy_after: int = 3
    port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ejection:
    """Passive checking from the kernel's counters (Envoy's outlier detection, in its terms).

    An endpoint is out after `failures` failed connects in a row, or when of at least `requests`
    requests in an interval more than `errors` (a share) failed, or when its mean latency is
    `slowness` times the median of its service's. First for `base`, then twice that and so on, up
    to `most`; never more than `share` of a service's endpoints at once.
    """

    interval: timedelta = timedelta(seconds=5)
    failures: int = 3
    requests: int = 20
    errors: float = 0.5
    slowness: float = 0.0
    """0: latency ejects nobody."""
    base: timedelta = timedelta(seconds=10)
    most: timedelta = timedelta(minutes=5)
    share: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A share of the traffic for the endpoints with these labels: 90 and 10 are 90 % and 10 %."""

    weight: int
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Somebody who answers for a service.

    `ports` is port name → number ("" is the only one). `netns` other than 0: reached from that
    network namespace only (a loopback address). `ready` is what the manifest says, not what checks
    found; `draining` means no new connections, open ones are left alone.
    """

    address: Address
    ports: Mapping[str, int]
    weight: int = 1
    node: NodeId = NO_NODE
    zone: str = ""
    netns: Netns = ANY_NETNS
    ready: bool = True
    draining: bool = False
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    target: str = ""
    """Whom it stands for, to show: "pod default/web-0", "workload web"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """A service that is only another name (ExternalName)."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service, whatever dialect it came in. `origin` is "file:line" of where it was said.

    `addresses` are those it asks for; none: it is given one of each family. `headless`: names
    answer with its endpoints, nothing is balanced. `selector` picks workloads of the host as
    endpoints (empty: none; endpoints come from elsewhere).
    """

    name: ServiceName
    ports: tuple[ServicePort, ...]
    addresses: tuple[Address, ...] = ()
    headless: bool = False
    external: External | None = None
    selector: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    balancing: Balancing = Balancing.RANDOM
    locality: Locality = Locality.ANY
    affinity: timedelta | None = None
    splits: tuple[Split, ...] = ()
    check: Check | None = None
    ejection: Ejection | None = None
    drain: timedelta = timedelta(seconds=30)
    fastpath: bool = False
    publish_unready: bool = False
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSet:
    """Endpoints somebody listed for a service: one Endpoints object, one EndpointSlice, one
    Consul registration. `source` tells two sets of one service apart."""

    service: ServiceName
    source: str
    endpoints: tuple[Endpoint, ...]
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec:
    """A `Workload` object: what is known of the processes it matches beyond what the host says.

    `match` names them: kind "unit", "container", "run", "cgroup" or "exe" → value. `ports` is
    name → number.
    """

    namespace: str
    name: str
    match: Mapping[Literal["unit", "container", "run", "cgroup", "exe"], str]
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    ports: Mapping[str, int] = field(default_factory=dict)
    address: Address | None = None
    origin: str = ""


class Level(StrEnum):
    """How important traffic is."""

    CRITICAL = "critical"
    NORMAL = "normal"
    BULK = "bulk"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrioritySpec:
    """A `Priority` object: which traffic is important. Rates are bits per second, 0: unset."""

    namespace: str
    name: str
    level: Level
    workloads: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    services: tuple[ServiceName, ...] = ()
    rate: int = 0
    ceiling: int = 0
    dscp: int | None = None
    congestion: str = ""
    devices: tuple[str, ...] = ()
    origin: str = ""
