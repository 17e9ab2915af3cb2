# SPDX-License-Identifier: Apache-2.0
"""Requests and bytes counted to the last one on real sockets."""

import ctypes
import socket
import struct
import threading
import time

import pytest

from tests.netns.hosts import Host, exchange, in_netns, new_port, receive
from tests.netns.seeing import Seen

GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])


def chunked(size: int, piece: int) -> bytes:
    """A chunked body of `size` bytes."""
    chunk = b"%x\r\n" % piece + b"c" * piece + b"\r\n"
    return chunk * (size // piece) + b"0\r\n\r\n"


def send(end: socket.socket, text: bytes) -> threading.Thread:
    """Sends what does not fit into the buffers, while somebody else reads."""
    thread = threading.Thread(target=end.sendall, args=(text,))
    thread.start()
    return thread


@FAMILIES
@pytest.mark.parametrize("outside", [False, True], ids=["paired", "external client"])
def test_megabytes_on_one_connection(
    hosts: tuple[Host, Host], a: Host, b: Host, seen: Seen, family: int, outside: bool
) -> None:
    size = 5_000_000
    bodies = [
        (b"Content-Length: %d\r\n\r\n" % size, b"x" * size),
        (b"Transfer-Encoding: chunked\r\n\r\n", chunked(size, 5000)),
        (b"Transfer-Encoding: chunked\r\n\r\n", chunked(60_000, 1)),
        (b"Content-Length: %d\r\n\r\n" % len(GET * 9999), GET * 9999),
        (b"Content-Length: %d\r\n\r\n" % len(OK * 9999), OK * 9999),
    ]
    posts = [b"POST /up HTTP/1.1\r\n" + head + body for head, body in bodies]
    answers = [b"HTTP/1.1 200 OK\r\n" + head + body for head, body in bodies]
    with b.listen(family) as door:
        port = door.getsockname()[1]
        if outside:
            with in_netns(hosts[0].netns):
                client = socket.create_connection(door.getsockname()[:2], timeout=10)
        else:
            client = a.connect(door)
        with client, door.accept()[0] as server:
            for post, answer in zip(posts, answers, strict=True):
                for one, other, text in ((client, server, post), (server, client, answer)):
                    sending = send(one, text)
                    assert receive(other, len(text)) == text
                    sending.join()
                exchange(client, server, request=GET, answer=OK)

    assert seen.counts(port) == {("POST", 200): 5, ("GET", 200): 5}
    get, up = sorted(seen.requests(port), key=lambda series: series.method)
    assert (up.request_bytes, up.ended) == (sum(map(len, posts)), 5)
    assert up.response_bytes == sum(map(len, answers))
    assert (get.request_bytes, get.response_bytes) == (5 * len(GET), 5 * len(OK))
    edge = seen.edge(port)
    assert edge["tx_bytes"] == sum(map(len, posts)) + 5 * len(GET)
    assert edge["rx_bytes"] == sum(map(len, answers)) + 5 * len(OK)
    assert edge["desyncs"] == 0


@FAMILIES
def test_five_thousand_short_connections(a: Host, b: Host, seen: Seen, family: int) -> None:
    count = 2500
    with b.listen(family) as door:
        port = door.getsockname()[1]
        with a.inside():
            for _ in range(count):
                with socket.socket(family) as client:
                    client.connect(door.getsockname())
                    with door.accept()[0] as server:
                        client.sendall(GET)
                        assert server.recv(100) == GET
                        server.sendall(OK)
                    assert receive(client, len(OK)) == OK

    assert seen.counts(port) == {("GET", 200): count}
    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.role) == ("a", "b", "client")
    assert (edge["opened"], edge["closed"], edge["connects"]) == (count, count, count)
    assert (edge["tx_bytes"], edge["rx_bytes"]) == (count * len(GET), count * len(OK))
    assert edge["resets"] == 0
    assert len(seen.flows(port)) == count
    assert seen.stat("flows_ring_full") == 0
    keys, _ = seen.plane.dump("um_pairs")
    assert len(keys) == 0


@FAMILIES
def test_one_socket_connected_again_and_again(a: Host, b: Host, seen: Seen, family: int) -> None:
    """connect() to AF_UNSPEC lets go of a connection; the socket may then be used for another."""
    with b.listen(family) as first, b.listen(family) as second, a.open(family) as client:
        for door, times in ((first, 1), (second, 2), (first, 3)):
            client.connect(door.getsockname())
            with door.accept()[0] as server:
                for _ in range(times):
                    exchange(client, server, request=GET, answer=OK)
                disconnect(client)
        ports = first.getsockname()[1], second.getsockname()[1]

    assert [seen.counts(port) for port in ports] == [{("GET", 200): 4}, {("GET", 200): 2}]
    assert [seen.edge(port)["opened"] for port in ports] == [2, 1]
    assert [seen.edge(port)["closed"] for port in ports] == [2, 1]
    assert [seen.edge(port)["tx_bytes"] for port in ports] == [4 * len(GET), 2 * len(GET)]


def disconnect(end: socket.socket) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    nowhere = struct.pack("H14x", socket.AF_UNSPEC)
    assert libc.connect(end.fileno(), nowhere, len(nowhere)) == 0


def test_a_connected_socket_that_then_listens(a: Host, b: Host, seen: Seen) -> None:
    """What it accepts is not taken for what it once was."""
    with b.listen() as other, b.open(socket.AF_INET) as door:
        door.connect(other.getsockname())
        with other.accept()[0] as server:
            exchange(door, server, request=GET, answer=OK)
        disconnect(door)
        door.bind((b.v4, new_port()))
        door.listen()
        port = door.getsockname()[1]
        with a.connect(door) as client, door.accept()[0] as server:
            exchange(client, server, request=GET, answer=OK)

    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.role, edge["opened"]) == ("a", "b", "client", 1)
    assert seen.counts(port) == {("GET", 200): 1}


@pytest.mark.parametrize("outside", [False, True], ids=["paired", "external client"])
def test_a_listener_that_waits_for_data(
    hosts: tuple[Host, Host], a: Host, b: Host, seen: Seen, outside: bool
) -> None:
    """TCP_DEFER_ACCEPT (Apache's default): the first request makes the connection."""
    count = 20
    with b.listen() as door:
        port = door.getsockname()[1]
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
        for _ in range(count):
            if outside:
                with in_netns(hosts[0].netns):
                    client = socket.create_connection(door.getsockname(), timeout=10)
            else:
                client = a.connect(door)
            with client:
                client.sendall(GET)
                with door.accept()[0] as server:
                    server.settimeout(10)
                    assert receive(server, len(GET)) == GET
                    server.sendall(OK)
                    assert receive(client, len(OK)) == OK
                    exchange(client, server, request=GET, answer=OK)

    assert seen.counts(port) == {("GET", 200): 2 * count}
    edge = seen.edge(port)
    assert edge.role == ("server" if outside else "client")
    assert (edge["tx_bytes"], edge["desyncs"]) == (2 * count * len(GET), 0)


def test_durations_are_those_of_the_server(a: Host, b: Host, seen: Seen) -> None:
    """First request byte to first answer byte; the end of the body is kept beside it."""
    with b.listen() as door, a.connect(door) as client, door.accept()[0] as server:
        port = door.getsockname()[1]
        client.sendall(GET)
        receive(server, len(GET))
        begin = time.monotonic_ns()
        while time.monotonic_ns() - begin < 30_000_000:
            pass
        server.sendall(OK)
        receive(client, len(OK))

    (series,) = seen.requests(port)
    assert 30_000_000 <= series.duration_ns < 60_000_000
