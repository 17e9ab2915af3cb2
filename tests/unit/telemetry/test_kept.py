# SPDX-License-Identifier: Apache-2.0
import numpy as np

from undermesh.model.edge import EdgeKey, End, EndKind
from undermesh.model.protocol import Protocol
from undermesh.telemetry import rowkeys
from undermesh.telemetry.drops import DropKey
from undermesh.telemetry.growth import EDGES, SERIES
from undermesh.telemetry.histogram import Sparse
from undermesh.telemetry.kept import Kept
from undermesh.telemetry.naming import NamedEdges, NamedSeries, SeriesKey

WEB = End(EndKind.WORKLOAD, "default", "web")


def job(number, port=80):
    return EdgeKey(End(EndKind.WORKLOAD, "shop", f"job-{number}"), WEB, port, Protocol.HTTP)


def fold(kept, *keys, count=1):
    edges = np.zeros((len(keys), EDGES.width), np.int64)
    edges[:, EDGES.at("opened")] = count
    kept.add_edges(NamedEdges(keys=keys, sums=edges))
    series = np.zeros((len(keys), SERIES.width), np.int64)
    series[:, SERIES.at("requests")] = count
    kept.add_series(
        NamedSeries(
            keys=tuple(SeriesKey(key, "GET", 200) for key in keys),
            sums=series,
            bins=Sparse(
                row=np.arange(len(keys), dtype=np.uint32),
                bin=np.full(len(keys), 9, np.uint16),
                count=np.full(len(keys), count, np.int64),
            ),
        )
    )


def opened(kept):
    named = kept.edges()
    return dict(zip(named.keys, named.sums[:, EDGES.at("opened")].tolist(), strict=True))


def nobody(end):
    return False


def test_what_is_folded_twice_adds_up():
    kept = Kept(ends=100, rows=1000)
    fold(kept, job(1), count=3)
    fold(kept, job(1), count=4)
    assert opened(kept) == {job(1): 7}
    named = kept.series()
    assert named.sums[:, 0].tolist() == [7]
    assert (named.bins.bin.tolist(), named.bins.count.tolist()) == ([9], [7])


def test_beyond_the_limit_the_longest_gone_share_a_row_and_nothing_is_lost():
    kept = Kept(ends=10, rows=1000)
    for number in range(30):
        fold(kept, job(number))
    merges = kept.shrink(alive=nobody)
    rows = opened(kept)
    shared = next(key for key in rows if key.client.kind is EndKind.GONE)
    assert shared.client == End(EndKind.GONE, "shop", "(gone)")
    assert sum(rows.values()) == 30
    assert rows[shared] == 21
    assert kept.series().sums[:, 0].sum() == 30
    assert kept.series().bins.count.sum() == 30
    assert {key.client.name for key in rows} >= {f"job-{number}" for number in range(21, 30)}
    (merge,) = merges.edges
    assert merge.into == shared
    assert len(merge.sources) == 21


def test_a_ledger_that_does_the_same_merges_has_the_same_rows():
    kept = Kept(ends=5, rows=1000)
    ledger = {}
    for number in range(40):
        key = EdgeKey(
            End(EndKind.WORKLOAD, "a", f"job-{number}"),
            End(EndKind.WORKLOAD, "b", f"db-{number}"),
            80,
            Protocol.TCP,
        )
        fold(kept, key)
        ledger[key] = 1
        for merge in kept.shrink(alive=nobody).edges:
            for source in set(merge.sources) - {merge.into}:
                if source in ledger:
                    ledger[merge.into] = ledger.get(merge.into, 0) + ledger.pop(source)
    assert ledger == opened(kept)


def test_who_is_there_again_keeps_its_name():
    kept = Kept(ends=5, rows=1000)
    for number in range(20):
        fold(kept, job(number))
    kept.shrink(alive=lambda end: end.name in ("job-0", "web"))
    assert job(0) in opened(kept)


def test_external_names_that_are_forgotten_are_the_world():
    kept = Kept(ends=2, rows=1000)
    for number in range(10):
        api = End(EndKind.EXTERNAL, "", f"api-{number}.example")
        fold(kept, EdgeKey(WEB, api, 443, Protocol.TLS))
    kept.shrink(alive=lambda end: end == WEB)
    rows = opened(kept)
    assert sum(rows.values()) == 10
    assert any(key.server.kind is EndKind.WORLD for key in rows)


def test_a_client_of_too_many_ports_shares_port_0():
    kept = Kept(ends=100, rows=20)
    for port in range(1, 61):
        fold(kept, job(1, port))
    kept.shrink(alive=nobody)
    rows = opened(kept)
    assert len(rows) <= 21
    assert rows[job(1, 0)] == 40
    assert sum(rows.values()) == 60


def test_what_the_gone_spoke_is_remembered():
    kept = Kept(ends=100, rows=20)
    fold(kept, job(1))
    assert kept.protocols == {(job(1).client, WEB, 80): Protocol.HTTP}


def test_names_survive_the_way_through_a_ledger():
    assert rowkeys.decode_edge(rowkeys.encode_edge(job(7))) == job(7)
    series = SeriesKey(job(7), "PATCH", 418)
    assert rowkeys.decode_series(rowkeys.encode_series(series)) == series
    drop = DropKey("NO_SOCKET", "tcp", "shop")
    assert rowkeys.decode_drop(rowkeys.encode_drop(drop)) == drop
