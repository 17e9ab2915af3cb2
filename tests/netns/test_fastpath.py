# SPDX-License-Identifier: Apache-2.0
"""Joined connections: who is joined, that all of it is counted, and that they part without loss."""

import contextlib
import http.client
import http.server
import select
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.netns.conftest import observe
from tests.netns.hosts import Host, exchange, in_netns, new_port, receive
from tests.netns.joining import aim, did, served
from tests.netns.seeing import Seen, eventually
from undermesh.kernel import bpffs, plane

GET = b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
def fast(seen: Seen) -> Seen:
    """The plane with the fast path on."""
    assert seen.plane.turn_fastpath(on=True) == ""
    return seen


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with as many bytes as the path says: at once, or in chunks for POST."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = int(self.path.strip("/"))
        self.send_response(404 if size == 404 else 200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"x" * size)

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        self.send_response(201)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for size in (1, 70_000, 3):
            self.wfile.write(f"{size:x}\r\n".encode() + b"y" * size + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _answering(far: socket.socket) -> threading.Thread:
    thread = threading.Thread(target=_Handler, args=(far, far.getpeername(), None), daemon=True)
    thread.start()
    return thread


def test_real_http_is_counted_to_the_byte(a: Host, fast: Seen) -> None:
    with served(fast, a) as at:
        near, far = at.pair()
        thread = _answering(far)
        client = http.client.HTTPConnection("shop")
        client.sock = near
        before = did(fast)
        for number in range(300):
            size = 404 if number % 3 == 0 else number
            client.request("GET", f"/{size}")
            assert len(client.getresponse().read()) == size
        for size in (1, 5_000, 200_000, 3_000_000):
            client.request("POST", "/", body=b"z" * size)
            assert len(client.getresponse().read()) == 70_004
        client.request("GET", "/20000000")
        assert len(client.getresponse().read()) == 20_000_000
        redirected = did(fast)["redirected"] - before["redirected"]
        client.close()
        thread.join(10)
        port = at.port

    assert redirected >= 600
    assert fast.counts(port) == {("GET", 404): 100, ("GET", 200): 201, ("POST", 201): 4}
    assert {one.ended - one.requests for one in fast.requests(port)} == {0}
    edge = fast.edge(port)
    sums = fast.requests(port)
    assert edge["tx_bytes"] == sum(one.request_bytes for one in sums)
    assert edge["rx_bytes"] == sum(one.response_bytes for one in sums)
    assert (edge["desyncs"], edge["opened"], edge["closed"], edge.l7) == (0, 1, 1, "http1")
    (flow,) = fast.flows(port)
    assert (int(flow["tx_bytes"]), int(flow["requests"])) == (edge["tx_bytes"], 305)


def test_bytes_that_are_not_http_are_counted(a: Host, fast: Seen) -> None:
    with served(fast, a) as at:
        near, far = at.pair()
        exchange(near, far, request=b"\x01" * 5000, answer=b"\x02" * 70)
        exchange(near, far, request=b"\x01", answer=b"\x02" * 7000)
        near.close()
        far.close()
        port = at.port
    edge = fast.edge(port)
    assert (edge.l7, edge["tx_bytes"], edge["rx_bytes"]) == ("tcp", 5001, 7070)


def test_pipelined_and_split_requests(a: Host, fast: Seen) -> None:
    with served(fast, a) as at:
        near, far = at.pair()
        exchange(near, far, request=GET * 40, answer=OK * 40)
        for start in range(0, len(GET), 7):
            near.sendall(GET[start : start + 7])
        assert receive(far, len(GET)) == GET
        for start in range(0, len(OK), 5):
            far.sendall(OK[start : start + 5])
        assert receive(near, len(OK)) == OK
        port = at.port
    assert fast.counts(port) == {("GET", 200): 41}
    assert fast.stat("desyncs") == 0


def test_a_request_without_an_answer_is_cut(a: Host, fast: Seen) -> None:
    with served(fast, a) as at:
        near, far = at.pair()
        near.sendall(GET)
        assert receive(far, len(GET)) == GET
        port = at.port
    assert fast.counts(port) == {("GET", 0): 1}


def test_across_namespaces(a: Host, b: Host, fast: Seen) -> None:
    with served(fast, b, at=b.v4) as at:
        before = did(fast)
        near, far = at.pair(client=a)
        exchange(near, far, request=GET, answer=OK)
        port = at.port
        after = did(fast)
    assert after["joined"] - before["joined"] == 1
    assert after["redirected"] - before["redirected"] == 2
    edge = fast.edge(port)
    assert (edge.client, edge.server) == ("a", "b")


def test_ipv6(a: Host, fast: Seen) -> None:
    with served(fast, a, at="::1") as at:
        before = did(fast)["redirected"]
        near, far = at.pair()
        exchange(near, far, request=GET, answer=OK)
        assert did(fast)["redirected"] - before == 2
        port = at.port
    assert fast.counts(port) == {("GET", 200): 1}


def test_equal_addresses_in_two_namespaces_never_meet(a: Host, b: Host, fast: Seen) -> None:
    """The same four numbers on both hosts, at the same time, and each hears its own."""
    before = did(fast)["joined"]
    with served(fast, a) as first, served(fast, b) as second:
        second.door.close()
        door = second.undo.enter_context(b.open(socket.AF_INET))
        door.bind(("127.0.0.1", first.port))
        door.listen()
        aim(fast, second, "127.0.0.1", first.port)
        for port in range(20_000, 20_050):
            ends = []
            for host, listener, to in (a, first.door, first), (b, door, second):
                near = first.undo.enter_context(host.open(socket.AF_INET))
                near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                near.bind(("127.0.0.1", port))
                near.connect(to.address)
                far = first.undo.enter_context(listener.accept()[0])
                far.settimeout(10)
                ends.append((near, far, host.netns.encode()))
            names = {(near.getsockname(), far.getsockname()) for near, far, _ in ends}
            assert len(names) == 1
            for near, far, name in ends:
                exchange(near, far, request=name * 3, answer=name * 5)
    assert did(fast)["joined"] - before == 100


def test_a_server_elsewhere_is_left_to_tcp(hosts: tuple[Host, Host], a: Host, fast: Seen) -> None:
    """The client's end cannot know before: it leaves with the first bytes that come back."""
    _, outside = hosts
    with in_netns(outside.netns):
        door = socket.create_server((outside.v4, new_port()))
    with door, served(fast, a) as at:
        at.door.close()
        before = did(fast)["left"]
        aim(fast, at, outside.v4, door.getsockname()[1])
        near = at.undo.enter_context(a.open(socket.AF_INET))
        near.connect(at.address)
        far = at.undo.enter_context(door.accept()[0])
        far.settimeout(10)
        exchange(near, far, request=GET, answer=OK)
        eventually(lambda: did(fast)["left"] > before)
        assert len(fast.plane.joined_ends()) == 0
        exchange(near, far, request=GET, answer=OK)
        port = door.getsockname()[1]
    assert fast.counts(port) == {("GET", 200): 2}


def test_turned_off_with_bytes_queued_loses_none(a: Host, fast: Seen) -> None:
    with served(fast, a) as at:
        near, far = at.pair()
        near.sendall(b"queued before ")
        assert select.select([far], [], [], 5)[0]
        reader = threading.Timer(0.2, lambda: read.append(receive(far, 14)))
        read: list[bytes] = []
        reader.start()
        assert fast.plane.turn_fastpath(on=False) == ""
        reader.join()
        assert read == [b"queued before "]
        assert len(fast.plane.joined_ends()) == 0
        before = did(fast)["redirected"]
        exchange(near, far, request=GET, answer=OK)
        assert did(fast)["redirected"] == before


def test_turned_off_under_load(a: Host, fast: Seen) -> None:
    """Switched on and off again and again, while bytes fly in both directions."""
    with served(fast, a) as at:
        pairs = [at.pair() for _ in range(4)]
        wrong: list[str] = []
        over = threading.Event()

        def talk(near: socket.socket, far: socket.socket, number: int) -> None:
            size, turn = 0, 0
            while not over.is_set():
                size = (size * 7 + number + 1) % 9000 + 1
                request = bytes([turn % 256]) * size
                try:
                    exchange(near, far, request=request, answer=request[::-1])
                except (OSError, AssertionError) as error:
                    wrong.append(repr(error))
                    return
                turn += 1

        threads = [
            threading.Thread(target=talk, args=(*pair, n), daemon=True)
            for n, pair in enumerate(pairs)
        ]
        for thread in threads:
            thread.start()
        for _ in range(8):
            time.sleep(0.05)
            fast.plane.turn_fastpath(on=False)
            fast.plane.turn_fastpath(on=True)
        over.set()
        for thread in threads:
            thread.join(10)
        assert wrong == []


@pytest.mark.parametrize("way", ["removed", "closed"])
def test_without_the_agent_nothing_is_lost(scope: Path, a: Host, way: str) -> None:
    """Closed: the agent is gone, the path goes on. Removed: `down`, with a reader that sleeps."""
    with contextlib.contextmanager(observe)(scope) as other:
        assert other.plane.turn_fastpath(on=True) == ""
        with served(other, a) as at:
            near, far = at.pair()
            near.sendall(b"queued")
            redirected = did(other)["redirected"]
            name = other.plane._running.lock.root.name
            other.plane.close()
            if way == "removed":
                plane.remove(bpffs=bpffs.DEFAULT, instance=name)
            near.sendall(b", and more")
            assert receive(far, 16) == b"queued, and more"
            exchange(near, far, request=GET, answer=OK)
            assert redirected == 1


def test_a_program_that_waits_for_all_is_told_of(a: Host, fast: Seen) -> None:
    with served(fast, a) as at:
        near, far = at.pair()
        far.setblocking(True)
        near.sendall(b"whole")
        assert far.recv(5, socket.MSG_WAITALL) == b"whole"
        (end,) = fast.plane.joined_ends()[:1]
    keys, times = fast.plane.dump("um_misuses")
    assert [(int(k["owner"]), int(k["misuse"])) for k in keys] == [(int(end["owner"]), 1)]
    assert int(times[0]) == 1
