# SPDX-License-Identifier: Apache-2.0
"""The graph: layers, the picture, the tree, and the languages of other tools."""

from __future__ import annotations

import json
import random

import msgspec
import pytest

from tests.unit.client.fake_agent import FakeAgent, edge, shop
from undermesh.cli import diagrams, graph, main, picture
from undermesh.cli.map import text
from undermesh.cli.paint import Paint
from undermesh.wire.edges import EdgeRow
from undermesh.wire.graph import GraphNode

PLAIN = Paint(False)


def rows(*entries: dict[str, object]) -> list[EdgeRow]:
    return msgspec.convert(list(entries), list[EdgeRow])


def ranks(plan: graph.Layered) -> dict[str, int]:
    return {p.name: rank for rank, layer in enumerate(plan.layers) for p in layer if p.name}


def test_every_server_stands_right_of_its_clients() -> None:
    links = graph.links(rows(*shop()))
    rank = ranks(graph.layered(links))
    assert all(rank[link.client] < rank[link.server] for link in links)
    assert (rank["load"], rank["edge"], rank["redis"]) == (0, 1, 5)


def test_rows_of_one_pair_are_one_link() -> None:
    (link,) = graph.links(rows(edge("a", "b", port=80), edge("a", "b", port=53, protocol="udp")))
    assert link.protocols == "http+udp"
    assert link.rate == 10.0


def test_cycles_and_self_calls_are_drawn_too() -> None:
    entries = rows(edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("b", "b"))
    plan = graph.layered(graph.links(entries))
    assert [route.turned for route in plan.routes].count(True) == 1
    drawn = "\n".join(text(entries, width=None, paint=PLAIN))
    assert "◀" in drawn
    assert "b also calls itself" in drawn


def test_world_as_client_and_as_server_are_two_places() -> None:
    plan = graph.layered(graph.links(rows(edge("world", "web"), edge("web", "world"))))
    assert len(plan.layers) == 3


def test_picture_of_a_chain() -> None:
    entries = rows(edge("load", "web", errors=5), edge("web", "db", protocol="tcp"))
    assert text(entries, width=None, paint=PLAIN) == [
        "┌──────┐                 ┌─────┐         ┌────┐",
        "│ load ├─ 10/s 5% err ──▶│ web ├─ tcp ──▶│ db │",
        "└──────┘                 └─────┘         └────┘",
    ]


def test_picture_of_a_fork_gives_every_line_a_row() -> None:
    entries = rows(edge("web", "a", p50_ms=1.0), edge("web", "b", p50_ms=2.0))
    drawn = text(entries, width=None, paint=PLAIN)
    assert sum(line.count("▶") for line in drawn) == 2
    assert sum(line.count("├") for line in drawn) == 2


@pytest.mark.parametrize("seed", range(40))
def test_every_line_of_any_graph_arrives(seed: int) -> None:
    """Each arrow of a random graph has its head; following a line never leads astray because
    corners are only where one line turns."""
    dice = random.Random(seed)
    names = [f"s{i}" for i in range(dice.randint(2, 9))]
    pairs = {tuple(dice.sample(names, 2)) for _ in range(dice.randint(1, 14))}
    entries = rows(*(edge(client, server) for client, server in sorted(pairs)))
    plan = graph.layered(graph.links(entries))
    label = picture.Label("", "dim")
    try:
        drawn = picture.draw(plan, label=lambda link: label, paint=PLAIN)
    except picture.Tangled:
        pytest.fail("a graph of nine nodes should never tangle")
    heads = sum(line.count("▶") + line.count("◀") for line in drawn)
    assert heads == len(pairs)
    assert all(any(f" {name} " in line for line in drawn) for pair in pairs for name in pair)


def test_narrow_terminals_get_a_tree() -> None:
    drawn = text(rows(*shop()), width=80, paint=PLAIN)
    assert drawn[0] == "load"
    assert drawn[1].startswith("└─▶ edge")
    assert max(map(len, drawn)) <= 80
    assert sum("redis" in line for line in drawn) == 2


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160])
def test_map_fits(width: int) -> None:
    assert max(map(len, text(rows(*shop()), width=width, paint=PLAIN))) <= width


def test_deep_tree_is_cut_to_the_terminal() -> None:
    chain = [edge(f"service-number-{i}", f"service-number-{i + 1}") for i in range(12)]
    drawn = text(rows(*chain), width=60, paint=PLAIN, as_tree=True)
    assert len(drawn) == 13


def test_map_json_has_the_nodes_of_its_edges(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["map", "--json", "--workload", "payment"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [node["name"] for node in document["nodes"]] == ["checkout", "payment"]
    assert [row["server"] for row in document["edges"]] == ["payment"]


def test_dot_quotes_what_names_may_hold() -> None:
    entries = rows(edge('we"b', "db", errors=1))
    nodes = [GraphNode(id="default/db", namespace="default", name="db", kind="unit")]
    drawn = diagrams.dot(nodes, entries)
    assert drawn[0] == "digraph undermesh {"
    assert '  n1 [label="we\\"b"];' in drawn
    assert '  n1 -> n0 [label="http :8080 10/s p99 9 ms 1% errors", color=red];' in drawn


def test_mermaid_is_a_flowchart() -> None:
    drawn = diagrams.mermaid([], rows(edge("web", "db")))
    assert drawn == [
        "flowchart LR",
        '  n0["db"]',
        '  n1["web"]',
        '  n1 -->|"http :8080 10/s p99 9 ms"| n0',
    ]


def test_no_traffic_is_a_sentence() -> None:
    assert text([], width=80, paint=PLAIN)[0].startswith("no traffic to draw")
