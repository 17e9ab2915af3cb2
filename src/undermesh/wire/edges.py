# SPDX-License-Identifier: Apache-2.0
"""GET /v1/edges."""

from msgspec import Struct, field

from undermesh.model.edge import Edge
from undermesh.model.protocol import Failure, Protocol, rcode_name
from undermesh.wire import SCHEMA
from undermesh.wire.times import milliseconds


class EdgeRow(Struct, kw_only=True):
    """One edge. docs/api.md has every field with its unit."""

    node: str = ""
    client: str
    client_namespace: str = ""
    server: str
    server_namespace: str = ""
    port: int
    protocol: str
    requests: int = 0
    errors: int = 0
    cut: int = 0
    rate: float = 0.0
    by_status: dict[str, int] = field(default_factory=dict)
    by_method: dict[str, int] = field(default_factory=dict)
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    mean_ms: float | None = None
    total_mean_ms: float | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_packets: int = 0
    tx_packets: int = 0
    connections: int = 0
    open: int = 0
    failures: int = 0
    failures_by_reason: dict[str, int] = field(default_factory=dict)
    connect_ms: float | None = None
    rtt_us: float | None = None
    retransmits: int = 0
    resets: int = 0
    desync: int = 0
    rcodes: dict[str, int] = field(default_factory=dict)
    tls_names: list[str] = field(default_factory=list)


class Edges(Struct, kw_only=True):
    """Rows, and the time their counters cover."""

    schema: int = SCHEMA
    since: str
    until: str
    edges: list[EdgeRow]


def row(edge: Edge) -> EdgeRow:
    """An edge as it goes out."""
    key, latency = edge.key, edge.latency
    return EdgeRow(
        node=edge.node,
        client=key.client.name,
        client_namespace=key.client.namespace,
        server=key.server.name,
        server_namespace=key.server.namespace,
        port=key.port,
        protocol=key.protocol.value,
        requests=edge.requests,
        errors=edge.errors,
        cut=edge.cut,
        rate=round(edge.rate, 3),
        by_status={str(status): count for status, count in sorted(edge.by_status.items())},
        by_method=dict(sorted(edge.by_method.items())),
        p50_ms=milliseconds(latency.p50_ns) if latency else None,
        p90_ms=milliseconds(latency.p90_ns) if latency else None,
        p99_ms=milliseconds(latency.p99_ns) if latency else None,
        mean_ms=milliseconds(latency.mean_ns) if latency else None,
        total_mean_ms=milliseconds(edge.total_mean_ns),
        request_bytes=edge.request_bytes,
        response_bytes=edge.response_bytes,
        rx_bytes=edge.rx_bytes,
        tx_bytes=edge.tx_bytes,
        rx_packets=edge.rx_packets,
        tx_packets=edge.tx_packets,
        connections=edge.connections,
        open=edge.open,
        failures=sum(edge.failures.values()),
        failures_by_reason={reason.value: edge.failures.get(reason, 0) for reason in Failure},
        connect_ms=milliseconds(edge.connect_mean_ns),
        rtt_us=None if edge.rtt_us is None else round(edge.rtt_us, 1),
        retransmits=edge.retransmits,
        resets=edge.resets,
        desync=edge.desyncs,
        rcodes=_rcodes(edge),
        tls_names=list(edge.tls_names),
    )


def _rcodes(edge: Edge) -> dict[str, int]:
    if edge.key.protocol is not Protocol.DNS:
        return {}
    return {rcode_name(rcode): count for rcode, count in sorted(edge.by_rcode.items())}
