# SPDX-License-Identifier: Apache-2.0
"""An edge: who talked to whom, on which port, in which protocol, and how it went."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from undermesh.model.protocol import Failure, Protocol
from undermesh.model.workload import NodeId


class EndKind(StrEnum):
    """What is known about one end of an edge."""

    WORKLOAD = "workload"
    EXTERNAL = "external"
    """Outside this host, by the name the application asked DNS (or TLS) for."""
    WORLD = "world"
    """Outside this host, nameless."""
    HOST = "host"
    """This host, where no socket of a workload is the other end."""
    GONE = "gone"
    """Workloads gone so long ago that they share a row."""
    UNKNOWN = "unknown"
    """A socket older than the agent that nobody could name."""


@dataclass(frozen=True, slots=True, order=True)
class End:
    """One end of an edge. `namespace` is empty for whatever is not a workload."""

    kind: EndKind
    namespace: str
    name: str

    @property
    def id(self) -> str:
        """How a graph refers to this end: "namespace/name", or the bare name."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


WORLD = End(EndKind.WORLD, "", "world")
HOST = End(EndKind.HOST, "", "host")
UNKNOWN = End(EndKind.UNKNOWN, "", "unknown")


@dataclass(frozen=True, slots=True, order=True)
class EdgeKey:
    """What makes a row a row. Several series of the kernel may share one."""

    client: End
    server: End
    port: int
    protocol: Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Durations of answered requests, first request byte to first response byte, in ns."""

    mean_ns: float
    p50_ns: float
    p90_ns: float
    p99_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One row. tx is what the client sent, rx what the server sent, whichever end was measured.

    `requests` are answered ones, `errors` those with status >= 500 or cut without an answer; for
    DNS those answered with anything but NOERROR or NXDOMAIN, or not at all. `rate` is requests a
    second, connections a second where requests are not counted. `total_mean_ns` runs to the end
    of the response body.
    """

    node: NodeId
    key: EdgeKey
    rate: float
    requests: int
    errors: int
    cut: int
    by_status: Mapping[int, int]
    by_method: Mapping[str, int]
    by_rcode: Mapping[int, int]
    latency: Latency | None
    total_mean_ns: float | None
    request_bytes: int
    response_bytes: int
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    connections: int
    open: int
    failures: Mapping[Failure, int]
    connect_mean_ns: float | None
    rtt_us: float | None
    retransmits: int
    resets: int
    desyncs: int
    tls_names: tuple[str, ...]
