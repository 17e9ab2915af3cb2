# SPDX-License-Identifier: Apache-2.0
"""The API over real sockets, on a node of fakes."""

import asyncio
import json
import socket
import stat
from contextlib import asynccontextmanager

import pytest

from tests.unit.app.steered import Mesh
from tests.unit.app.watched import Node
from undermesh.api import access
from undermesh.api.access import Access
from undermesh.api.server import ApiServer, Places, SocketRefused
from undermesh.api.service import Service
from undermesh.app.desired import DesiredState
from undermesh.app.objects import Objects
from undermesh.testing.desired import MemoryStore

TOKEN = "0123456789abcdef"


@pytest.fixture
def node():
    node = Node()
    node.owner(300, "web")
    node.owner(301, "db", cgroup=8, path="/system.slice/db.service")
    node.pass_seconds(1)
    node.http(300, 301, 5)
    node.pass_seconds(1)
    return node


@pytest.fixture
def place(tmp_path):
    return tmp_path / "run" / "t.sock"


@asynccontextmanager
async def served(node, place, *, tcp=None, uid=None, objects=None):
    stopped: list[bool] = []
    service = Service(
        observatory=node.agent,
        objects=objects or Objects(DesiredState(MemoryStore())),
        steering=Mesh().steering,
        now=lambda: node.at,
        status=lambda: node.agent.status(memory_bytes=1, loops=[]),
        config=lambda: {"api": {"token": "***"}},
        shut_down=stopped.append,
        window_seconds=60.0,
    )
    rules = Access(group="no-such-group", token=TOKEN)
    if uid is not None:
        rules = Access(group="no-such-group", token=TOKEN, uid=uid)
    server = ApiServer(
        service=service, access=rules, places=Places(path=place, tcp=tcp), version="9.9"
    )
    server.open()
    task = asyncio.create_task(server.serve())
    try:
        yield stopped
    finally:
        server.close()
        await asyncio.wait_for(task, 5)


async def ask(place, target, method="GET", body=b"", headers=()):
    """(status, headers, body) of one request; `place` is a path or (host, port)."""
    if isinstance(place, tuple):
        reader, writer = await asyncio.open_connection(*place)
    else:
        reader, writer = await asyncio.open_unix_connection(str(place))
    lines = [f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", *headers]
    lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    raw = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    head, _, payload = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    found = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
    return int(first.split()[1]), found, payload


async def until(condition):
    """Waits for a condition, 5 s at most."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


def run(coroutine):
    return asyncio.run(coroutine)


def answer(node, place, target, **how):
    async def once():
        async with served(node, place):
            return await ask(place, target, **how)

    status, headers, payload = run(once())
    assert headers["undermesh-version"] == "9.9"
    assert headers["undermesh-schema"] == "1"
    return status, json.loads(payload) if payload else None


def test_edges(node, place):
    status, body = answer(node, place, "/v1/edges?total=1")
    assert status == 200
    assert body["schema"] == 1
    (row,) = body["edges"]
    assert (row["client"], row["server"], row["requests"]) == ("web", "db", 5)
    assert row["by_status"] == {"200": 5}
    assert body["since"] < body["until"]


def test_graph(node, place):
    _, body = answer(node, place, "/v1/graph?window=30")
    assert [one["id"] for one in body["nodes"]] == ["default/db", "default/web"]
    assert len(body["edges"]) == 1


@pytest.mark.parametrize("list_", ["flows", "samples", "drops", "workloads"])
def test_lists(node, place, list_):
    status, body = answer(node, place, f"/v1/{list_}")
    assert status == 200
    assert body["schema"] == 1
    assert isinstance(body[list_], list)


def test_status_shows_the_configuration_only_when_asked(node, place):
    assert "config" not in answer(node, place, "/v1/status")[1]
    assert answer(node, place, "/v1/status?config=1")[1]["config"] == {"api": {"token": "***"}}


def test_all_that_is_wrong_with_a_query_is_said_at_once(node, place):
    status, body = answer(node, place, "/v1/edges?window=1e9&protocol=smtp&colour=blue")
    assert status == 400
    assert sorted(one["field"] for one in body["diagnostics"]) == ["colour", "protocol", "window"]


def test_what_is_not_there_is_a_problem(node, place):
    status, body = answer(node, place, "/v2/edges")
    assert (status, body["status"]) == (404, 404)
    assert "docs/api.md" in body["detail"]
    assert answer(node, place, "/v1/edges", method="POST")[0] == 405


def test_a_fault_of_ours_is_a_problem_too(node, place):
    node.plane.failing.add("um_drops")
    status, body = answer(node, place, "/v1/drops")
    assert status == 500
    assert "log" in body["detail"]


def test_a_run_is_registered_and_ended(node, place):
    asked = json.dumps({"name": "job", "namespace": "shop"}).encode()
    status, body = answer(node, place, "/v1/workloads", method="POST", body=asked)
    assert status == 201
    assert body["cgroup"].startswith("/fake/shop/job.")
    assert answer(node, place, f"/v1/workloads/{body['id']}", method="DELETE") == (204, None)
    assert answer(node, place, f"/v1/workloads/{body['id']}", method="DELETE")[0] == 404


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"name": "Web"}', b'{"name":"a","x":1}'])
def test_what_cannot_be_registered_is_refused(node, place, body):
    assert answer(node, place, "/v1/workloads", method="POST", body=body)[0] == 400


def test_shutdown_is_passed_on(node, place):
    async def once():
        async with served(node, place) as stopped:
            await ask(place, "/v1/shutdown", method="POST")
            await ask(place, "/v1/shutdown", method="POST", body=b'{"remove": true}')
            return stopped

    assert run(once()) == [False, True]


def test_the_socket_is_roots_alone_without_the_group(node, place):
    async def once():
        async with served(node, place):
            return stat.S_IMODE(place.stat().st_mode)

    assert run(once()) == 0o600
    assert not place.exists()


def test_strangers_are_told_what_to_do(node, place, monkeypatch):
    stranger = access.Caller(pid=1, uid=4711, gids=frozenset())
    monkeypatch.setattr("undermesh.api.server.caller_of", lambda connection: stranger)
    status, body = answer(node, place, "/v1/status")
    assert status == 403
    assert "usermod" in body["detail"]


def test_members_of_the_group_may_read_and_no_more(node, place, monkeypatch):
    member = access.Caller(pid=1, uid=4711, gids=frozenset({77}))
    monkeypatch.setattr("undermesh.api.server.caller_of", lambda connection: member)
    monkeypatch.setattr(access, "group_id", lambda name: 77)
    assert answer(node, place, "/v1/edges")[0] == 200
    status, body = answer(node, place, "/v1/shutdown", method="POST")
    assert status == 403
    assert "only read" in body["detail"]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_over_tcp_a_token_is_needed(node, place):
    tcp = ("127.0.0.1", free_port())

    async def once():
        async with served(node, place, tcp=tcp):
            return (
                await ask(tcp, "/v1/edges"),
                await ask(tcp, "/v1/edges", headers=["Authorization: Bearer wrong"]),
                await ask(tcp, "/v1/edges", headers=[f"Authorization: Bearer {TOKEN}"]),
            )

    without, wrong, right = run(once())
    assert (without[0], wrong[0], right[0]) == (401, 401, 200)
    assert without[1]["www-authenticate"] == "Bearer"


def test_a_place_that_cannot_be_listened_on_is_said(node, tmp_path):
    (tmp_path / "file").write_text("")

    async def once():
        async with served(node, tmp_path / "file" / "t.sock"):
            pass

    with pytest.raises(SocketRefused, match=r"agent\.runtime_dir"):
        run(once())


def test_a_socket_left_behind_is_replaced(node, place):
    place.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    assert answer(node, place, "/v1/edges")[0] == 200


def test_a_stream_gives_rows_as_they_come_and_ends_with_the_agent(node, place):
    async def once():
        async with served(node, place):
            reader, writer = await asyncio.open_unix_connection(str(place))
            writer.write(b"GET /v1/samples?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"application/x-ndjson" in head
            feed = node.agent.recorder.new_samples
            await until(lambda: len(feed))
            node.plane.emit("um_samples", client=300, server=301, path=b"/a", path_len=2)
            node.agent.drain(at=node.at)
            row = await asyncio.wait_for(reader.readuntil(b'"path":"/a"'), 5)
            assert row
        rest = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return rest.endswith(b"0\r\n\r\n"), len(feed)

    assert run(once()) == (True, 0)


def test_a_follower_that_leaves_is_forgotten(node, place):
    async def once():
        async with served(node, place):
            feed = node.agent.recorder.new_flows
            _, writer = await asyncio.open_unix_connection(str(place))
            writer.write(b"GET /v1/flows?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: len(feed))
            writer.close()
            await writer.wait_closed()
            await until(lambda: not len(feed))

    run(once())
