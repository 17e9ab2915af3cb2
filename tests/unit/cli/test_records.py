# SPDX-License-Identifier: Apache-2.0
"""Lists: flows, sampled requests, drops, workloads; once and followed, for people and programs."""

from __future__ import annotations

import json

import pytest

from tests.unit.client.fake_agent import UNTIL, Answer, FakeAgent
from undermesh.cli import main


def flow(**fields: object) -> dict[str, object]:
    row: dict[str, object] = {
        "time": UNTIL,
        "state": "closed",
        "protocol": "http",
        "l4": "tcp",
        "client": "web",
        "client_namespace": "default",
        "client_address": "127.0.0.1",
        "client_port": 40000,
        "server": "db",
        "server_namespace": "default",
        "server_address": "::1",
        "server_port": 5432,
        "port": 5432,
        "opened": UNTIL,
        "ended": UNTIL,
        "duration_ms": 12.5,
        "tx_bytes": 2048,
        "rx_bytes": 100,
    }
    return {**row, **fields}


def sample(**fields: object) -> dict[str, object]:
    row: dict[str, object] = {
        "time": UNTIL,
        "client": "web",
        "server": "api",
        "port": 80,
        "method": "GET",
        "path": "/x",
        "status": 200,
        "duration_ms": 1.0,
        "kind": "plain",
    }
    return {**row, **fields}


def test_flows_are_a_table(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    failed = flow(state="failed", reason="refused", server="cache")
    agent.put("/v1/flows", {"flows": [flow(), failed]})
    assert main(["flows", "-w", "web", "--state", "failed", "--last", "7"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "[::1]:5432" in lines[1]
    assert lines[2].endswith("refused")
    assert agent.asked[-1][2] == {"workload": "web", "state": "failed", "limit": "7"}


def test_flows_since_leaves_older_ones_out(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [flow(time="2001-01-01T00:00:00.000Z"), flow(time="2999-01-01T00:00:00.000Z")]
    agent.put("/v1/flows", {"flows": rows})
    assert main(["flows", "--since", "5m", "--json"]) == 0
    times = [row["time"] for row in json.loads(capsys.readouterr().out)["flows"]]
    assert times == ["2999-01-01T00:00:00.000Z"]


def test_empty_list_is_empty_in_a_pipe_and_says_so_beside_it(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.put("/v1/drops", {"drops": []})
    assert main(["drops"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "no packet was dropped since the last `down`\n"


def test_follow_prints_lines_until_the_agent_ends(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [sample(), {"dropped": 3}, sample(status=503, path="/\x1b[2J", kind="error")]
    agent.answers["GET", "/v1/samples"] = Answer(lines=lines)
    assert main(["tap", "--errors", "--follow"]) == 3
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert "\x1b" not in said.out
    assert "3 rows came faster than this could print" in said.err
    assert "it ended the stream" in said.err
    assert agent.asked[-1][2] == {"kind": "error", "limit": "100", "follow": "1"}


def test_follow_json_is_one_object_a_line(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.answers["GET", "/v1/flows"] = Answer(lines=[flow(), flow(client="x")])
    assert main(["flows", "-f", "--json"]) == 3
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["client"] for row in rows] == ["web", "x"]


def test_cut_request_reads_cut(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.put("/v1/samples", {"samples": [sample(status=0)]})
    assert main(["tap"]) == 0
    assert " cut " in capsys.readouterr().out


def test_errors_and_slow_exclude_each_other(agent: FakeAgent) -> None:
    assert main(["tap", "--errors", "--slow"]) == 2


def test_workloads_hide_those_gone(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    there = {"namespace": "default", "name": "web", "kind": "run", "started": UNTIL, "pids": [1]}
    gone = {**there, "name": "old", "gone": UNTIL}
    agent.put("/v1/workloads", {"workloads": [there, gone]})
    assert main(["workloads"]) == 0
    assert "old" not in capsys.readouterr().out
    assert main(["workloads", "--all"]) == 0
    assert "old" in capsys.readouterr().out
    assert main(["workloads", "--json", "-n", "prod"]) == 0
    assert json.loads(capsys.readouterr().out)["workloads"] == []


def test_status_says_what_is_wrong_first(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.put_status(
        programs=[{"name": "drops_kfree_skb", "hook": "tp_btf", "why": "no BTF"}],
        maps=[{"name": "um_edges", "type": "hash", "entries": 90, "max_entries": 100, "fill": 0.9}],
        lost={"samples_full": 2, "edges_full": 0},
        limited={"samples": 5},
        loops=[{"name": "sweep", "problem": "no answer", "failures": 3}],
    )
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert "lost: samples_full 2 · 5 samples held back" in said
    assert "sweep: no answer (3 times)" in said
    assert "no BTF" in said
    assert "90%" in said


def test_status_config_is_toml(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    import tomllib

    config = {
        "agent": {"instance": "default", "node": 'a"b'},
        "api": {"token": "***", "listen": None},
        "kernel": {"shards": 4, "keep_query": False, "sizes": {"edges": 16384}},
    }
    agent.put_status(config=config)
    assert main(["status", "--config"]) == 0
    document = tomllib.loads(capsys.readouterr().out)
    assert document["kernel"]["sizes"]["edges"] == 16384
    assert document["agent"]["node"] == 'a"b'
    assert agent.asked[-1][2] == {"config": "1"}
