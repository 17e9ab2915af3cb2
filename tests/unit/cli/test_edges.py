# SPDX-License-Identifier: Apache-2.0
"""Which edges are shown, in which order, and what a person reads in their row."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.unit.client.fake_agent import SINCE, UNTIL, FakeAgent, edge, shop
from undermesh.cli import edges, main
from undermesh.cli.paint import Paint
from undermesh.wire.edges import EdgeRow, Edges

PLAIN = Paint(False)


def rows(*entries: dict[str, object]) -> list[EdgeRow]:
    return msgspec.convert(list(entries), list[EdgeRow])


def answer(*entries: dict[str, object]) -> Edges:
    return Edges(since=SINCE, until=UNTIL, edges=rows(*entries))


def test_busiest_first_and_undecoded_last() -> None:
    shown = edges.select(rows(*shop()), edges.Choice())
    assert [row.server for row in shown[:3]] == ["edge", "catalog", "cart"]
    assert [row.protocol for row in shown[-2:]] == ["tcp", "tcp"]


@pytest.mark.parametrize(
    ("choice", "first"),
    [
        (edges.Choice(sort="p99"), "checkout"),
        (edges.Choice(sort="errors"), "edge"),
        (edges.Choice(sort="server"), "cart"),
        (edges.Choice(sort="server", ascending=True), "redis"),
        (edges.Choice(sort="rate", ascending=True), "redis"),
        (edges.Choice(workload="payment"), "payment"),
        (edges.Choice(protocol="tcp"), "redis"),
    ],
)
def test_orders_and_filters(choice: edges.Choice, first: str) -> None:
    assert edges.select(rows(*shop()), choice)[0].server == first


def test_namespace_filter_takes_either_end() -> None:
    kept = edges.select(
        rows(edge("a", "b", server_namespace="prod"), edge("c", "d")),
        edges.Choice(namespace="prod"),
    )
    assert [row.server for row in kept] == ["b"]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_table_fits(width: int) -> None:
    lines = edges.table(answer(*shop()), edges.Choice(), total=False, width=width, paint=PLAIN)
    assert max(map(len, lines)) <= width
    assert all(word in lines[0] for word in ("CLIENT", "SERVER", "RATE", "P99"))


def test_eighty_columns_keep_what_matters() -> None:
    header = edges.table(answer(*shop()), edges.Choice(), total=False, width=80, paint=PLAIN)[0]
    for word in ("CLIENT", "SERVER", "PORT", "PROTO", "RATE", "ERR", "P50", "P99"):
        assert word in header


def test_undecoded_row_has_its_connection_rate_and_no_latency() -> None:
    tcp = edge("a", "redis", protocol="tcp", requests=0, rate=0.4, p50_ms=None, p99_ms=None)
    line = edges.table(answer(tcp), edges.Choice(), total=False, width=None, paint=PLAIN)[1]
    assert "0.4/s" in line
    assert "ms" not in line


def test_namespace_is_said_where_it_is_not_the_default() -> None:
    line = edges.table(
        answer(edge("web", "db", client_namespace="prod", server_namespace="")),
        edges.Choice(),
        total=False,
        width=None,
        paint=PLAIN,
    )[1]
    assert line.startswith("prod/web  db ")


def test_nothing_to_show_is_a_sentence() -> None:
    assert edges.table(answer(), edges.Choice(), total=False, width=80, paint=PLAIN)[-1] == (
        "no traffic in the last 10 s"
    )
    hidden = edges.Choice(workload="nobody")
    assert edges.table(answer(*shop()), hidden, total=False, width=80, paint=PLAIN)[-1] == (
        "no edge of 9 fits these filters"
    )


def test_top_prints_one_plain_table_into_a_pipe(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", "--window", "10s"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert len(said.splitlines()) == 10
    assert agent.asked[-1][2] == {"window": "10"}


def test_top_json_is_one_object_with_the_chosen_rows(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", "--json", "--workload", "payment"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    document = json.loads(lines[0])
    assert (document["schema"], document["since"], document["until"]) == (1, SINCE, UNTIL)
    assert [row["server"] for row in document["edges"]] == ["payment"]


def test_top_total_asks_for_totals(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--total"]) == 0
    assert "REQS▾" in capsys.readouterr().out
    assert agent.asked[-1][2] == {"total": "1"}
