# SPDX-License-Identifier: Apache-2.0
"""HTTP checks: what is asked, what counts, and endpoints that mean no good."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.unit.health.endpoints import OK, check, closed_port, reset, silent, target, until
from undermesh.health.answer import Failed, Passed
from undermesh.health.asking import check_once
from undermesh.health.http1 import request
from undermesh.model.service import HttpCheck


async def ask(port, *, within=2.0, host="127.0.0.1", **more):
    """What a check of this endpoint comes to."""
    asked = check(HttpCheck(**more), within=within)
    return await check_once(target(port, host=host), asked, connect_in=None)


async def test_a_status_in_the_range_passes_and_the_request_is_a_plain_one(endpoints) -> None:
    port = await endpoints.says(OK)
    assert await ask(port, path="/up?deep=1") == Passed("GET /up?deep=1 answered 200")
    lines = endpoints.requests[0].decode().split("\r\n")
    assert lines[0] == "GET /up?deep=1 HTTP/1.1"
    assert lines[1] == f"Host: 127.0.0.1:{port}"
    assert "Connection: close" in lines


async def test_a_status_outside_fails_and_says_what_was_expected(endpoints) -> None:
    port = await endpoints.says(b"HTTP/1.1 503 Nope\r\nContent-Length: 0\r\n\r\n")
    assert await ask(port) == Failed("GET / answered 503, expected 200 to 399")
    assert await ask(port, statuses=(204, 204)) == Failed("GET / answered 503, expected 204")
    assert await ask(port, statuses=(503, 503)) == Passed("GET / answered 503")


async def test_method_host_and_ipv6(endpoints) -> None:
    port = await endpoints.says(OK, host="::1")
    answer = await ask(port, host="::1", method="HEAD")
    assert answer == Passed("HEAD / answered 200")
    assert f"Host: [::1]:{port}".encode() in endpoints.requests[0]
    head = request(HttpCheck(host="cart.shop"), "127.0.0.1:80")
    assert b"\r\nHost: cart.shop\r\n" in head


def test_a_manifest_cannot_add_a_line_to_the_request() -> None:
    head = request(
        HttpCheck(path="/a b\r\nX: y", host="h\r\nX: y", method="GET / HTTP/1.1\r\nX:"), "h"
    )
    assert head.count(b"\r\n") == len(request(HttpCheck(), "h").split(b"\r\n")) - 1
    assert head.startswith(b"GET/HTTP/1.1X: /a%20b%0D%0AX:%20y HTTP/1.1\r\nHost: hX:y\r\n")


async def test_interim_answers_are_waited_through(endpoints) -> None:
    port = await endpoints.says(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" + OK
    )
    assert await ask(port) == Passed("GET / answered 200")


async def test_an_answer_that_comes_byte_by_byte_counts(endpoints) -> None:
    port = await endpoints.says(*[bytes([byte]) for byte in OK], pause=0.001)
    assert await ask(port) == Passed("GET / answered 200")


async def test_http_1_0_counts(endpoints) -> None:
    port = await endpoints.says(b"HTTP/1.0 200 OK\r\n\r\nhello")
    assert await ask(port) == Passed("GET / answered 200")


async def test_an_answer_that_is_read_whole_ends_without_a_reset(endpoints) -> None:
    ends = []

    async def handler(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000)
        try:
            ends.append(await reader.read())
        except ConnectionResetError:
            ends.append("reset")

    port = await endpoints.serve(handler)
    assert await ask(port) == Passed("GET / answered 200")
    await until(lambda: ends)
    assert ends == [b""]


async def test_a_body_without_end_is_not_read(endpoints) -> None:
    async def handler(reader, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()

    port = await endpoints.serve(handler)
    begun = time.monotonic()
    assert await ask(port, within=10) == Passed("GET / answered 200")
    assert time.monotonic() - begun < 2


async def test_a_body_that_never_comes_does_not_delay_the_verdict(endpoints) -> None:
    async def handler(reader, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        await asyncio.sleep(60)

    port = await endpoints.serve(handler)
    begun = time.monotonic()
    assert await ask(port, within=10) == Passed("GET / answered 200")
    assert time.monotonic() - begun < 2


async def test_headers_without_end_are_cut(endpoints) -> None:
    async def handler(reader, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X: " + b"y" * 1000 + b"\r\n")
            await writer.drain()

    port = await endpoints.serve(handler)
    assert await ask(port, within=10) == Failed("GET /: headers of more than 64 KiB")


async def test_interim_answers_without_end_are_cut(endpoints) -> None:
    async def handler(reader, writer) -> None:
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await writer.drain()

    port = await endpoints.serve(handler)
    assert await ask(port, within=10) == Failed("GET /: headers of more than 64 KiB")


async def test_a_slow_one_has_its_time_out(endpoints) -> None:
    port = await endpoints.says(*[b"H", b"T", b"T", b"P"] * 100, pause=0.05)
    answer = await ask(port, within=0.3)
    assert isinstance(answer, Failed)
    assert answer.reason.startswith("no whole answer within 0.3 s, ") or "not HTTP" in answer.reason


async def test_what_is_not_http_is_said_to_be_that(endpoints) -> None:
    port = await endpoints.says(b"SSH-2.0-OpenSSH_9.2\r\n")
    answer = await ask(port)
    assert isinstance(answer, Failed)
    assert answer.reason.startswith("GET /: the answer is not HTTP/1: ")
    assert answer.reason.isprintable()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 O"])
async def test_a_connection_that_ends_early(endpoints, said) -> None:
    port = await endpoints.says(said)
    where = "in the middle of its headers" if said else "without an answer"
    assert await ask(port) == Failed(f"GET /: the connection was closed {where}")


async def test_a_reset_is_said_to_be_one(endpoints) -> None:
    port = await endpoints.serve(reset)
    assert await ask(port) == Failed("connection reset by peer instead of an answer")


async def test_silence(endpoints) -> None:
    port = await endpoints.serve(silent)
    assert await ask(port, within=0.1) == Failed("connected, but no answer within 0.1 s")


async def test_a_full_backlog_is_no_connection() -> None:
    """Nobody accepts, and the queue is full: the kernel drops further SYNs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        answer = await ask(port, within=0.2)
        for filler in fillers:
            filler.close()
    assert answer == Failed("no connection within 0.2 s")


@pytest.fixture
def nginx_port(tmp_path) -> Iterator[int]:
    """The port of a running nginx; skipped where there is none."""
    path = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if not path:
        pytest.skip("no nginx in /usr/sbin or /usr/bin")
    port = closed_port()
    places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"""
        daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/log;
        events {{ worker_connections 64; }}
        http {{
          access_log off; {" ".join(f"{place}_temp_path {tmp_path};" for place in places)}
          server {{
            listen 127.0.0.1:{port};
            location /up {{ return 200 "well"; }}
            location /down {{ return 500; }}
            location /gone {{ return 301 /up; }}
          }}
        }}"""
    )
    arguments = [path, "-p", str(tmp_path), "-c", str(conf)]
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as nginx:
        try:
            deadline = time.monotonic() + 10
            while not _listens(port) and time.monotonic() < deadline:
                time.sleep(0.02)
            yield port
        finally:
            nginx.terminate()


async def test_nginx(nginx_port) -> None:
    assert await ask(nginx_port, path="/up") == Passed("GET /up answered 200")
    assert await ask(nginx_port, path="/gone") == Passed("GET /gone answered 301")
    assert await ask(nginx_port, path="/up", method="HEAD") == Passed("HEAD /up answered 200")
    assert await ask(nginx_port, path="/down") == Failed(
        "GET /down answered 500, expected 200 to 399"
    )
    assert await ask(nginx_port, path="/n", statuses=(404, 404)) == Passed("GET /n answered 404")


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
