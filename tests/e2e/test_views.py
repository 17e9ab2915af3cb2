# SPDX-License-Identifier: Apache-2.0
"""Views: the shapes programs rely on, and what filters leave."""

import json
import re
from pathlib import Path

import pytest

from tests.e2e.agents import Agent
from tests.e2e.places import Scope
from tests.e2e.servers import Nginx, free_port, nginx, redis

EDGE = (
    "node client client_namespace server server_namespace port protocol requests errors cut rate "
    "by_status by_method p50_ms p90_ms p99_ms mean_ms total_mean_ms request_bytes response_bytes "
    "rx_bytes tx_bytes rx_packets tx_packets connections open failures failures_by_reason "
    "connect_ms rtt_us retransmits resets desync rcodes tls_names"
)
FLOW = (
    "node time state protocol l4 client client_namespace client_address client_port server "
    "server_namespace server_address server_port port opened ended duration_ms connect_ms tx_bytes "
    "rx_bytes tx_packets rx_packets rtt_us retransmits requests reason reset sni alpn tls_version "
    "pid exe"
)
SAMPLE = (
    "node time client client_namespace server server_namespace port method path status duration_ms "
    "request_bytes kind client_address client_port server_address server_port"
)
DROP = "node reason packets bytes workload workload_namespace protocol port last source destination"
WORKLOAD = "node namespace name kind identity labels exe cgroup pids started gone"
STATUS = (
    "schema version node instance pid since started adopted programs maps lost limited rings loops "
    "workloads memory_bytes"
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(scope="module")
def refused() -> int:
    """A port where nobody listens."""
    return free_port()


@pytest.fixture(scope="module", autouse=True)
def traffic(running: Agent, wide: Scope, refused: int) -> Nginx:
    """Requests good and bad, connections that carry none, attempts that fail."""
    server = nginx(wide)
    port = redis(wide)
    for path, times in (("/a?secret=1", 4), ("/broken/b", 2)):
        for _ in range(times):
            wide.run("visitor", ["curl", "-s", server.url + path])
    wide.run("second", ["curl", "-s", server.url])
    wide.run("visitor", ["redis-cli", "-p", str(port), "PING"])
    wide.run("visitor", ["curl", "-s", f"http://127.0.0.1:{refused}/"], check=False)
    running.row("visitor", "nginx")
    return server


def keys(row: dict[str, object]) -> set[str]:
    return set(row)


def test_top(running: Agent) -> None:
    for flags in ((), ("--total",), ("--window", "30s")):
        answer = running.json("top", *flags)
        assert keys(answer) == {"schema", "since", "until", "edges"} and answer["schema"] == 1
        assert TIME.fullmatch(answer["since"]) and TIME.fullmatch(answer["until"])
        assert answer["since"] < answer["until"]
        for row in answer["edges"]:
            assert keys(row) == set(EDGE.split())
            assert row["node"] == "here"
    reasons = answer["edges"][0]["failures_by_reason"]
    assert keys(reasons) == {"refused", "reset", "timeout", "unreachable", "aborted", "other"}


def test_top_is_one_line(running: Agent) -> None:
    said = running.call("top", "--total", "--json")
    assert said.stdout.count("\n") == 1 and said.stderr == ""


def test_top_filters_and_orders(running: Agent, wide: Scope) -> None:
    visitor = wide.workload("visitor")
    rows = running.edges("--workload", visitor)
    assert rows and all(visitor in (row["client"], row["server"]) for row in rows)
    assert {row["protocol"] for row in running.edges("--protocol", "http")} == {"http"}
    assert running.edges("--namespace", "nowhere") == []
    assert [row["requests"] for row in running.edges("--sort", "requests")][:2] == [6, 1]
    assert len(running.edges("--limit", "1")) == 1


def test_a_table_for_people(running: Agent, wide: Scope) -> None:
    lines = running.call("top", "--once", "--total").stdout.splitlines()
    assert lines[0].split()[:4] == ["CLIENT", "SERVER", "PORT", "PROTO"]
    [line] = [one for one in lines if "visitor" in one and "nginx" in one]
    assert "33" in line and " 6 " in line


def test_flows(running: Agent, wide: Scope, traffic: Nginx, refused: int) -> None:
    rows = running.flows()
    assert all(keys(row) == set(FLOW.split()) for row in rows)
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    visitor = wide.workload("visitor")
    assert len(running.flows("--workload", visitor)) == 7
    assert len(running.flows("--workload", f"{visitor}/redis-cli")) == 1
    assert len(running.flows("--workload", visitor, "--peer", wide.workload("nginx"))) == 6
    assert len(running.flows("--peer", wide.workload("second"))) == 1
    assert {row["server_port"] for row in running.flows("--port", str(traffic.port))} == {
        traffic.port
    }
    assert len(running.flows("--protocol", "http")) == 7
    [failed] = running.flows("--state", "failed")
    assert (failed["server_port"], failed["reason"], failed["exe"]) == (refused, "refused", "curl")
    assert len(running.json("flows", "--last", "3")["flows"]) == 3
    assert running.flows("--since", "1ms") == [] and len(running.flows("--since", "1h")) == 9


def test_tap(running: Agent, wide: Scope) -> None:
    rows = running.json("tap")["samples"]
    assert rows and all(keys(row) == set(SAMPLE.split()) for row in rows)
    errors = running.json("tap", "--errors")["samples"]
    assert [(row["path"], row["status"], row["kind"]) for row in errors] == [
        ("/broken/b", 503, "error")
    ] * 2
    plain = [row for row in rows if row["kind"] == "plain" and row["client"].endswith("visitor")]
    assert {row["path"] for row in plain} == {"/a"}, "no query unless asked for"
    assert not running.json("tap", "--workload", "nobody")["samples"]


def test_drops(running: Agent) -> None:
    for row in running.json("drops")["drops"]:
        assert keys(row) == set(DROP.split())


def test_workloads(running: Agent, wide: Scope) -> None:
    rows = running.json("workloads")["workloads"]
    assert all(keys(row) == set(WORKLOAD.split()) for row in rows)
    by_name = {row["name"]: row for row in rows}
    assert wide.workload("nginx") in by_name, rows
    server = by_name[wide.workload("nginx")]
    assert server["cgroup"] == f"/{wide.name}/nginx" and server["exe"] == "nginx"
    pids = Path(wide.path / "nginx" / "cgroup.procs").read_text().split()
    assert {str(pid) for pid in server["pids"]} == set(pids)
    assert len({row["identity"] for row in rows}) == len(rows)


def test_status(running: Agent, wide: Scope) -> None:
    status = running.status()
    assert keys(status) == set(STATUS.split())
    assert (status["instance"], status["node"], status["pid"]) == (
        wide.name,
        "here",
        running.pid,
    )
    assert all(program["attached"] for program in status["programs"])
    assert 0 < status["memory_bytes"] < 120_000_000
    assert all(one["fill"] < 0.5 for one in status["maps"] if one["type"] == "hash")


def test_status_prints_its_configuration(running: Agent, wide: Scope) -> None:
    said = running.call("status", "--config").stdout
    assert "[kernel]" in said and f'scope = "{wide.path}"' in said


def test_map(running: Agent, wide: Scope) -> None:
    graph = running.json("map", "--total")
    assert {"nodes", "edges"} <= keys(graph)
    names = {node["name"] for node in graph["nodes"]}
    assert {wide.workload("visitor"), wide.workload("nginx"), wide.workload("redis")} <= names
    dot = running.call("map", "--total", "--format", "dot").stdout
    assert dot.startswith("digraph") and dot.rstrip().endswith("}") and "->" in dot
    mermaid = running.call("map", "--total", "--format", "mermaid").stdout
    assert re.match(r"(flowchart|graph) LR", mermaid) and "-->" in mermaid
    assert "visitor" in running.call("map", "--total").stdout
    assert json.loads(running.call("map", "--total", "--format", "json").stdout) is not None
