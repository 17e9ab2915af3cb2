# SPDX-License-Identifier: Apache-2.0
"""One connection, UDP conversation or failed attempt, as it ended or as it stands."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from undermesh.model.edge import End
from undermesh.model.protocol import Failure, Protocol, Transport
from undermesh.model.workload import NodeId

Address = IPv4Address | IPv6Address


class FlowState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A row of `flows`. Times are ns of CLOCK_MONOTONIC; `ended_ns` is None while it is open.

    `port` is the edge's: behind DNAT the server's own, while `server_port` is the one dialled.
    `pid` is the process that made the measured socket, 0 when not known.
    """

    node: NodeId
    state: FlowState
    protocol: Protocol
    transport: Transport
    client: End
    client_address: Address
    client_port: int
    server: End
    server_address: Address
    server_port: int
    port: int
    opened_ns: int
    ended_ns: int | None
    seen_ns: int
    connect_ns: int | None
    tx_bytes: int
    rx_bytes: int
    tx_packets: int
    rx_packets: int
    rtt_us: int | None
    retransmits: int
    requests: int
    failure: Failure | None
    reset: bool
    sni: str
    alpn: str
    tls_version: str
    pid: int
    exe: str
