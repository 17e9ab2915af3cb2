# SPDX-License-Identifier: Apache-2.0
"""Questions go out as the API has them; answers one version older or newer are understood."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import undermesh
from tests.unit.client.fake_agent import SINCE, UNTIL, FakeAgent, serving, shop
from undermesh.client import Client, Filter, connect


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with serving(FakeAgent(), socket=tmp_path / "a.sock") as agent:
        yield agent


@pytest.fixture
def client(agent: FakeAgent) -> Iterator[Client]:
    with connect(socket=agent.target) as client:
        yield client


def test_edges_of_a_window_and_since_the_last_down(agent: FakeAgent, client: Client) -> None:
    agent.put_edges(shop())
    rows = client.edges(window=2.5).edges
    client.edges(total=True)
    client.edges()
    assert [row.server for row in rows][:2] == ["edge", "catalog"]
    assert rows[0].requests == 4000
    assert [query for _, _, query, _ in agent.asked] == [{"window": "2.5"}, {"total": "1"}, {}]


def test_newer_agent_sends_fields_we_do_not_know(agent: FakeAgent, client: Client) -> None:
    agent.put_edges([{**shop()[0], "colour": "red", "nested": {"a": [1]}}])
    assert client.edges().edges[0].client == "load"


def test_older_agent_leaves_fields_out(agent: FakeAgent, client: Client) -> None:
    row = {"client": "a", "server": "b", "port": 80, "protocol": "http"}
    agent.put("/v1/edges", {"since": SINCE, "until": UNTIL, "edges": [row]})
    agent.put("/v1/status", {"version": "0.0.9"})
    assert client.edges().edges[0].requests == 0
    assert client.status().programs == []


def test_filters_go_out_and_empty_ones_do_not(agent: FakeAgent, client: Client) -> None:
    agent.put("/v1/flows", {"flows": []})
    client.flows(Filter(workload="cart", port=443, state="failed", peer="", limit=5))
    assert agent.asked[0][2] == {
        "workload": "cart",
        "port": "443",
        "state": "failed",
        "limit": "5",
    }


def test_workload_is_registered_and_given_back(agent: FakeAgent, client: Client) -> None:
    answer = {"schema": 1, "id": "w1", "namespace": "default", "name": "web", "cgroup": "/c/web.1"}
    agent.put("/v1/workloads", answer, method="POST", status=201)
    agent.put("/v1/workloads/w1", None, method="DELETE", status=204)
    group = client.register(namespace="default", name="web", labels={"tier": "front"})
    client.unregister(group.id)
    assert group.cgroup == "/c/web.1"
    body = agent.asked[0][3]
    assert isinstance(body, dict)
    assert (body["name"], body["labels"]) == ("web", {"tier": "front"})
    assert agent.asked[1][:2] == ("DELETE", "/v1/workloads/w1")


def test_public_names() -> None:
    assert undermesh.__all__ == ["__version__", "connect"]
    assert undermesh.connect is connect
    with pytest.raises(AttributeError, match="nothing_here"):
        undermesh.nothing_here  # noqa: B018


def test_public_names_of_the_client() -> None:
    from undermesh import client as room

    assert room.__all__ == [
        "AgentUnreachable",
        "AnswerUnreadable",
        "Client",
        "ClientError",
        "Filter",
        "Missed",
        "RequestRefused",
        "connect",
    ]


def test_importing_the_client_brings_no_heavy_library() -> None:
    code = (
        "import sys, undermesh; undermesh.connect;"
        "print([m for m in ('numpy', 'cffi', 'starlette', 'uvicorn', 'asyncio')"
        " if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
