# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from undermesh.model.edge import EdgeKey, End, EndKind
from undermesh.model.protocol import RCODE_UNANSWERED, Failure, Protocol
from undermesh.model.workload import NodeId
from undermesh.telemetry.growth import EDGES, SERIES
from undermesh.telemetry.histogram import Sparse
from undermesh.telemetry.naming import NamedSeries, SeriesKey
from undermesh.telemetry.table import Frame, edge_rows, open_now

WEB = End(EndKind.WORKLOAD, "default", "web")
DB = End(EndKind.WORKLOAD, "default", "db")
FIVE_MS = 1 + 90 * 3 + 50 - 10


def key(protocol):
    return EdgeKey(WEB, DB, 80, protocol)


def sums(**counters):
    row = np.zeros(EDGES.width, np.int64)
    for name, value in counters.items():
        at = EDGES.at(name)
        row[at : at + np.size(value)] = value
    return row.tolist()


def series(protocol, *rows):
    """(method, status, requests, duration_ns)."""
    counters = np.zeros((len(rows), SERIES.width), np.int64)
    for position, (_, _, requests, duration) in enumerate(rows):
        counters[position, SERIES.at("requests")] = requests
        counters[position, SERIES.at("duration_ns")] = duration
    return NamedSeries(
        keys=tuple(SeriesKey(key(protocol), method, status) for method, status, _, _ in rows),
        sums=counters,
        bins=Sparse(
            row=np.arange(len(rows), dtype=np.uint32),
            bin=np.full(len(rows), FIVE_MS, np.uint16),
            count=np.array([row[2] for row in rows], np.int64),
        ),
    )


def frame(**given):
    return Frame(
        **{
            "node": NodeId("n1"),
            "seconds": 10.0,
            "failures": {1: Failure.REFUSED, 3: Failure.TIMEOUT},
            "bins": 722,
            "open": {},
            "tls_names": {},
            **given,
        }
    )


def test_requests_are_answered_ones_and_errors_those_that_failed():
    requests = series(
        Protocol.HTTP,
        ("GET", 200, 90, 90 * 5_000_000),
        ("POST", 404, 4, 4 * 5_000_000),
        ("GET", 503, 6, 6 * 5_000_000),
        ("GET", 0, 3, 0),
    )
    (row,) = edge_rows({key(Protocol.HTTP): sums(opened=2, tx_bytes=5)}, [requests], frame())
    assert (row.requests, row.errors, row.cut) == (100, 9, 3)
    assert row.by_status == {200: 90, 404: 4, 503: 6}
    assert row.by_method == {"GET": 96, "POST": 4}
    assert row.rate == 10.0
    assert row.latency.mean_ns == 5_000_000
    assert row.latency.p50_ns == pytest.approx(5_050_000, rel=0.01)
    assert row.connections == 2


def test_dns_counts_answers_by_rcode():
    requests = series(
        Protocol.DNS, ("", 0, 5, 1), ("", 3, 2, 1), ("", 2, 1, 1), ("", RCODE_UNANSWERED, 4, 0)
    )
    (row,) = edge_rows({}, [requests], frame())
    assert (row.requests, row.errors, row.cut) == (8, 5, 0)
    assert row.by_rcode == {0: 5, 3: 2, 2: 1, RCODE_UNANSWERED: 4}
    assert row.by_status == {}


def test_where_requests_are_not_counted_the_rate_is_of_connections():
    (row,) = edge_rows({key(Protocol.TCP): sums(opened=20, tx_bytes=5)}, [], frame())
    assert (row.requests, row.errors, row.rate, row.latency) == (0, 0, 2.0, None)


def test_means_are_over_what_was_measured():
    counters = sums(opened=3, connects=2, connect_ns=500_000, rtts=4, rtt_us=1000)
    (row,) = edge_rows({key(Protocol.TCP): counters}, [], frame())
    assert row.connect_mean_ns == 250_000
    assert row.rtt_us == 250


def test_failures_go_by_reason():
    counters = sums(failures=[0, 2, 0, 1, 0, 0, 0, 5])
    (row,) = edge_rows({key(Protocol.TCP): counters}, [], frame())
    assert row.failures == {Failure.REFUSED: 2, Failure.TIMEOUT: 1, Failure.OTHER: 5}


def test_a_quiet_row_is_shown_only_while_something_is_open():
    quiet = {key(Protocol.TCP): sums()}
    assert edge_rows(quiet, [], frame()) == []
    (row,) = edge_rows(quiet, [], frame(open={key(Protocol.TCP): 2}))
    assert row.open == 2


def test_open_connections_are_never_fewer_than_none():
    assert open_now({key(Protocol.TCP): sums(opened=1, closed=3)}) == {key(Protocol.TCP): 0}


def test_the_busiest_row_comes_first():
    rows = edge_rows(
        {key(Protocol.TCP): sums(tx_bytes=10**9), key(Protocol.HTTP): sums(tx_bytes=1)},
        [series(Protocol.HTTP, ("GET", 200, 1, 1))],
        frame(),
    )
    assert [row.key.protocol for row in rows] == [Protocol.HTTP, Protocol.TCP]


def test_names_seen_in_tls_are_on_tls_rows_only():
    names = frame(tls_names={(WEB, DB, 80): ("db.internal",)})
    counters = sums(opened=1)
    rows = edge_rows({key(Protocol.TLS): counters, key(Protocol.TCP): counters}, [], names)
    assert {row.key.protocol: row.tls_names for row in rows} == {
        Protocol.TLS: ("db.internal",),
        Protocol.TCP: (),
    }
