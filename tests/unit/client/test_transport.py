# SPDX-License-Identifier: Apache-2.0
"""Every way an agent can fail to answer has its own words, and its own error."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.unit.client.fake_agent import Answer, FakeAgent, serving
from undermesh.client import AgentUnreachable, AnswerUnreadable, RequestRefused, connect


def test_missing_socket_says_so_and_what_to_do(tmp_path: Path) -> None:
    with connect(socket=tmp_path / "no.sock") as client, pytest.raises(AgentUnreachable) as error:
        client.status()
    assert error.value.reason == "there is no such socket"
    assert str(tmp_path / "no.sock") in error.value.message
    assert "undermesh up" in error.value.hint


def test_socket_nobody_listens_on_is_told_from_a_missing_one(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with connect(socket=path) as client, pytest.raises(AgentUnreachable, match="nobody listens"):
        client.status()


def test_forbidden_socket_says_who_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with (
        connect(socket=tmp_path / "a.sock") as client,
        pytest.raises(AgentUnreachable, match="may not open") as error,
    ):
        client.status()
    assert "sudo" in error.value.hint


def test_silent_agent_times_out(tmp_path: Path) -> None:
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        with (
            connect(socket=path, timeout=0.05) as client,
            pytest.raises(AgentUnreachable, match="did not answer in time"),
        ):
            client.status()


def test_problem_becomes_a_refusal_with_its_diagnostics(tmp_path: Path) -> None:
    agent = FakeAgent()
    problem = {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "window is longer than 60 s",
        "diagnostics": [{"field": "window", "message": "at most 60"}],
    }
    agent.put("/v1/edges", problem, status=400)
    with (
        serving(agent, socket=tmp_path / "a.sock"),
        connect(socket=tmp_path / "a.sock") as client,
        pytest.raises(RequestRefused) as error,
    ):
        client.edges(window=600)
    assert error.value.message == "the agent answered 400 Bad Request: window is longer than 60 s"
    assert error.value.diagnostics == ("window: at most 60",)


def test_refusal_without_problem_json_is_still_one(tmp_path: Path) -> None:
    agent = FakeAgent()
    agent.answers["GET", "/v1/status"] = Answer(status=403, raw=b"no")
    with (
        serving(agent, socket=tmp_path / "a.sock"),
        connect(socket=tmp_path / "a.sock") as client,
        pytest.raises(RequestRefused, match="403 Forbidden"),
    ):
        client.status()


@pytest.mark.parametrize("raw", [b"<html>", b"[1, 2]", b'{"since": "x"}', b'{"edges": 3}'])
def test_what_is_no_answer_of_the_api_is_unreadable(tmp_path: Path, raw: bytes) -> None:
    agent = FakeAgent()
    agent.answers["GET", "/v1/edges"] = Answer(raw=raw)
    with (
        serving(agent, socket=tmp_path / "a.sock"),
        connect(socket=tmp_path / "a.sock") as client,
        pytest.raises(AnswerUnreadable),
    ):
        client.edges()


def test_connection_closed_between_questions_is_opened_again(tmp_path: Path) -> None:
    agent = FakeAgent(close_after_answer=True)
    agent.put_status()
    with serving(agent, socket=tmp_path / "a.sock"), connect(socket=tmp_path / "a.sock") as client:
        assert [client.status().pid for _ in range(3)] == [4711] * 3


def test_agent_that_went_away_between_questions_is_unreachable(tmp_path: Path) -> None:
    agent = FakeAgent(close_after_answer=True)
    agent.put_status()
    with connect(socket=tmp_path / "a.sock") as client:
        with serving(agent, socket=tmp_path / "a.sock"):
            client.status()
        with pytest.raises(AgentUnreachable):
            client.status()


def test_tcp_agent_is_sent_the_token() -> None:
    agent = FakeAgent()
    agent.put_status()
    with serving(agent), connect(address=agent.target, token="s3cret") as client:
        client.status()
        assert "s3cret" not in repr(client.target)
    assert agent.headers[0]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(("address", "token"), [("127.0.0.1", "t"), ("127.0.0.1:99", None)])
def test_address_without_port_or_token_is_refused_before_asking(
    address: str, token: str | None
) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|token"):
        connect(address=address, token=token)


def test_stream_yields_rows_and_ends_as_unreachable(tmp_path: Path) -> None:
    agent = FakeAgent()
    row = {"reason": "NETFILTER_DROP", "packets": 2, "a field of tomorrow": 1}
    agent.answers["GET", "/v1/drops"] = Answer(lines=[row, "", {"dropped": 7}, row])
    with serving(agent, socket=tmp_path / "a.sock"), connect(socket=tmp_path / "a.sock") as client:
        rows = client.follow_drops()
        seen = [next(rows) for _ in range(3)]
        with pytest.raises(AgentUnreachable, match="ended the stream"):
            next(rows)
    assert [type(entry).__name__ for entry in seen] == ["DropRow", "Missed", "DropRow"]
    assert agent.asked[0][2] == {"follow": "1"}
