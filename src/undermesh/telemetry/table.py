# SPDX-License-Identifier: Apache-2.0
"""Named counters → the rows people see."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from undermesh.model.edge import Edge, EdgeKey, EndKind, Latency
from undermesh.model.protocol import (
    HEALTHY_RCODES,
    RCODE_UNANSWERED,
    STATUS_CUT,
    Failure,
    Protocol,
)
from undermesh.model.workload import NodeId
from undermesh.telemetry.growth import EDGES, FAILURES, SERIES
from undermesh.telemetry.histogram import Sparse, concatenate, quantiles
from undermesh.telemetry.naming import NamedEdges, NamedSeries, Triple

_PAYLOAD = ("tx_bytes", "rx_bytes")
_FAILURE_AT = EDGES.at("failures")


@dataclass(slots=True, kw_only=True)
class _Requests:
    """One row's requests, by status and method, answered and not."""

    answered: int = 0
    unanswered: int = 0
    errors: int = 0
    statuses: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    methods: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    sums: list[int] = field(default_factory=lambda: [0] * SERIES.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a table needs besides counters: whose it is, how long it covers, what is open now, and
    the server names seen in TLS."""

    node: NodeId
    seconds: float
    failures: Mapping[int, Failure]
    bins: int
    open: Mapping[EdgeKey, int]
    tls_names: Mapping[Triple, tuple[str, ...]]


def join_edges(parts: Sequence[NamedEdges]) -> dict[EdgeKey, list[int]]:
    """Connection counters by row, the parts added up.

    A `tcp` row without payload (probes that only connect, failed attempts, connections before
    their first byte) joins the row of the same ends and port whose protocol is known.
    """
    rows: dict[EdgeKey, list[int]] = {}
    for part in parts:
        for key, sums in zip(part.keys, part.sums.tolist(), strict=True):
            held = rows.get(key)
            rows[key] = sums if held is None else _plus(held, sums)
    spoken: dict[Triple, EdgeKey] = {}
    for key in rows:
        if key.protocol is not Protocol.TCP:
            spoken[key.client, key.server, key.port] = key
    for key in [key for key in rows if key.protocol is Protocol.TCP]:
        became = spoken.get((key.client, key.server, key.port))
        if became is not None and _silent(rows[key]):
            rows[became] = _plus(rows[became], rows.pop(key))
    return rows


def edge_rows(
    edges: Mapping[EdgeKey, list[int]], series: Sequence[NamedSeries], frame: Frame
) -> list[Edge]:
    """The rows, busiest first: most requests, then most bytes. Rows on which nothing happened and
    nothing is open are left out."""
    requests, cells = _requests(series)
    keys = list(dict.fromkeys([*edges, *requests]))
    place = {key: position for position, key in enumerate(requests)}
    latencies = quantiles(
        cells, rows=len(requests), probabilities=(0.5, 0.9, 0.99), bins=frame.bins
    ).tolist()
    rows: list[Edge] = []
    for key in keys:
        sums = edges.get(key) or [0] * EDGES.width
        asked = requests.get(key) or _Requests()
        if any(sums) or any(asked.sums) or asked.unanswered or frame.open.get(key, 0) > 0:
            quantile = latencies[place[key]] if key in place else []
            rows.append(_edge(key, sums, asked, quantile, frame))
    rows.sort(key=lambda row: (-row.requests, -(row.rx_bytes + row.tx_bytes), row.key))
    return rows


def open_now(edges: Mapping[EdgeKey, list[int]]) -> dict[EdgeKey, int]:
    """Connections open at this moment, out of counters that reach back to the beginning."""
    opened, closed = EDGES.at("opened"), EDGES.at("closed")
    return {key: max(0, sums[opened] - sums[closed]) for key, sums in edges.items()}


def _requests(parts: Sequence[NamedSeries]) -> tuple[dict[EdgeKey, _Requests], Sparse]:
    """Requests by row, and the cells of answered ones, which name the row by its order."""
    rows: dict[EdgeKey, _Requests] = {}
    place: dict[EdgeKey, int] = {}
    cells: list[Sparse] = []
    for part in parts:
        groups = np.full(len(part.keys), -1, np.int64)
        for position, (key, sums) in enumerate(zip(part.keys, part.sums.tolist(), strict=True)):
            row = rows.setdefault(key.edge, _Requests())
            position_of_row = place.setdefault(key.edge, len(place))
            if _count(row, key.edge.protocol, key.status, key.method, sums):
                groups[position] = position_of_row
        cells.append(part.bins.regroup(groups))
    return rows, concatenate(cells).summed()


def _count(row: _Requests, protocol: Protocol, status: int, method: str, sums: list[int]) -> bool:
    """Adds one series to its row; whether it was answered, and so has a duration."""
    requests = sums[0]
    dns = protocol is Protocol.DNS
    if status == (RCODE_UNANSWERED if dns else STATUS_CUT):
        row.unanswered += requests
        row.errors += requests
        if dns:
            row.statuses[status] += requests
        return False
    row.answered += requests
    row.statuses[status] += requests
    if method:
        row.methods[method] += requests
    if status not in HEALTHY_RCODES if dns else status >= 500:
        row.errors += requests
    row.sums = _plus(row.sums, sums)
    return True


def _edge(
    key: EdgeKey, sums: list[int], asked: _Requests, quantile: list[float], frame: Frame
) -> Edge:
    dns = key.protocol is Protocol.DNS
    counted = asked.answered if key.protocol.counts_requests else sums[EDGES.at("opened")]
    nanoseconds = asked.sums[SERIES.at("duration_ns")]
    return Edge(
        node=frame.node,
        key=key,
        rate=counted / frame.seconds if frame.seconds > 0 else 0.0,
        requests=asked.answered,
        errors=asked.errors,
        cut=0 if dns else asked.unanswered,
        by_status={} if dns else dict(asked.statuses),
        by_method=dict(asked.methods),
        by_rcode=dict(asked.statuses) if dns else {},
        latency=_latency(asked.answered, nanoseconds, quantile),
        total_mean_ns=_mean(asked.sums[SERIES.at("ended_ns")], asked.sums[SERIES.at("ended")]),
        request_bytes=asked.sums[SERIES.at("request_bytes")],
        response_bytes=asked.sums[SERIES.at("response_bytes")],
        rx_bytes=sums[EDGES.at("rx_bytes")],
        tx_bytes=sums[EDGES.at("tx_bytes")],
        rx_packets=sums[EDGES.at("rx_packets")],
        tx_packets=sums[EDGES.at("tx_packets")],
        connections=sums[EDGES.at("opened")],
        open=frame.open.get(key, 0),
        failures=_failures(sums, frame.failures),
        connect_mean_ns=_mean(sums[EDGES.at("connect_ns")], sums[EDGES.at("connects")]),
        rtt_us=_mean(sums[EDGES.at("rtt_us")], sums[EDGES.at("rtts")]),
        retransmits=sums[EDGES.at("retransmits")],
        resets=sums[EDGES.at("resets")],
        desyncs=sums[EDGES.at("desyncs")],
        tls_names=_tls_names(key, frame),
    )


def _tls_names(key: EdgeKey, frame: Frame) -> tuple[str, ...]:
    if key.protocol is not Protocol.TLS or key.server.kind is EndKind.GONE:
        return ()
    return frame.tls_names.get((key.client, key.server, key.port), ())


def _latency(requests: int, nanoseconds: int, quantile: list[float]) -> Latency | None:
    if not requests or not quantile or quantile[0] != quantile[0]:
        return None
    return Latency(
        mean_ns=nanoseconds / requests,
        p50_ns=quantile[0],
        p90_ns=quantile[1],
        p99_ns=quantile[2],
    )


def _failures(sums: list[int], reasons: Mapping[int, Failure]) -> dict[Failure, int]:
    counted: dict[Failure, int] = {}
    for number in range(1, FAILURES):
        count = sums[_FAILURE_AT + number]
        if count:
            reason = reasons.get(number, Failure.OTHER)
            counted[reason] = counted.get(reason, 0) + count
    return counted


def _mean(total: int, count: int) -> float | None:
    return total / count if count else None


def _plus(left: list[int], right: list[int]) -> list[int]:
    return [one + other for one, other in zip(left, right, strict=True)]


def _silent(sums: list[int]) -> bool:
    """Whether nobody said anything: what is spoken there cannot be told."""
    return not any(sums[EDGES.at(name)] for name in _PAYLOAD)
