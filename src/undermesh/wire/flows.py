# SPDX-License-Identifier: Apache-2.0
"""GET /v1/flows."""

from msgspec import Struct

from undermesh.model.flow import Flow
from undermesh.wire import SCHEMA
from undermesh.wire.times import Clock, milliseconds


class FlowRow(Struct, kw_only=True):
    """One connection, UDP conversation or failed attempt."""

    node: str = ""
    time: str
    state: str
    protocol: str
    l4: str
    client: str
    client_namespace: str = ""
    client_address: str
    client_port: int
    server: str
    server_namespace: str = ""
    server_address: str
    server_port: int
    port: int
    opened: str
    ended: str | None = None
    duration_ms: float | None = None
    connect_ms: float | None = None
    tx_bytes: int = 0
    rx_bytes: int = 0
    tx_packets: int = 0
    rx_packets: int = 0
    rtt_us: int | None = None
    retransmits: int = 0
    requests: int = 0
    reason: str | None = None
    reset: bool = False
    sni: str = ""
    alpn: str = ""
    tls_version: str = ""
    pid: int = 0
    exe: str = ""


class Flows(Struct, kw_only=True):
    """Newest last."""

    schema: int = SCHEMA
    flows: list[FlowRow]


def row(flow: Flow, clock: Clock) -> FlowRow:
    """A flow as it goes out. `time` is its end, or for an open one when it was last looked at."""
    until_ns = flow.seen_ns if flow.ended_ns is None else flow.ended_ns
    return FlowRow(
        node=flow.node,
        time=clock.iso(until_ns),
        state=flow.state.value,
        protocol=flow.protocol.value,
        l4=flow.transport.value,
        client=flow.client.name,
        client_namespace=flow.client.namespace,
        client_address=str(flow.client_address),
        client_port=flow.client_port,
        server=flow.server.name,
        server_namespace=flow.server.namespace,
        server_address=str(flow.server_address),
        server_port=flow.server_port,
        port=flow.port,
        opened=clock.iso(flow.opened_ns),
        ended=None if flow.ended_ns is None else clock.iso(flow.ended_ns),
        duration_ms=milliseconds(max(0, until_ns - flow.opened_ns)),
        connect_ms=milliseconds(flow.connect_ns),
        tx_bytes=flow.tx_bytes,
        rx_bytes=flow.rx_bytes,
        tx_packets=flow.tx_packets,
        rx_packets=flow.rx_packets,
        rtt_us=flow.rtt_us,
        retransmits=flow.retransmits,
        requests=flow.requests,
        reason=None if flow.failure is None else flow.failure.value,
        reset=flow.reset,
        sni=flow.sni,
        alpn=flow.alpn,
        tls_version=flow.tls_version,
        pid=flow.pid,
        exe=flow.exe,
    )
