# SPDX-License-Identifier: Apache-2.0
"""Segments in every order a network can bring them: each request once, and no framing lost."""

import itertools
import socket
from collections.abc import Iterator, Sequence

import pytest

from tests.netns.hosts import Host, new_port, receive
from tests.netns.peers import HERE, THERE, Peer, Wire, wired
from tests.netns.seeing import Seen

GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
POST = (
    b"POST /form HTTP/1.1\r\nHost: b\r\nCookie: " + b"c" * 700 + b"\r\nContent-Length: 900\r\n\r\n"
)
POST += b"b" * 900
FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])

Piece = tuple[int, int]
"""(first, behind the last) byte of what is sent."""


@pytest.fixture(scope="module")
def wire(hosts: tuple[Host, Host], seen: Seen) -> Iterator[Wire]:
    """The device behind which host b meets us."""
    with wired(hosts[1]) as made:
        yield made


@pytest.fixture
def door(b: Host, wire: Wire, family: int) -> Iterator[socket.socket]:
    """A socket of host b that listens on the device."""
    with b.open(family) as made:
        made.bind((HERE[family], new_port()))
        made.listen()
        yield made


_ports = itertools.count(20000)
_numbers = itertools.cycle((0, 0x7FFFFF00, 0xFFFFFF00, 0xFFFFFFFF, 12345))


def serve(wire: Wire, door: socket.socket, request: bytes, pieces: Sequence[Piece]) -> None:
    """One connection: a request before, the pieces, a request behind; all are answered."""
    peer = Peer.connect(wire, door, port=next(_ports), isn=next(_numbers))
    with door.accept()[0] as server:
        server.settimeout(10)
        peer.say(0, GET)
        receive(server, len(GET))
        server.sendall(OK)
        peer.hear(len(OK))
        for begin, end in pieces:
            peer.say(len(GET) + begin, request[begin:end])
        assert receive(server, len(request)) == request
        server.sendall(OK)
        peer.said = len(GET) + len(request)
        peer.hear(len(OK))
        peer.say(peer.said, GET)
        receive(server, len(GET))
        server.sendall(OK)
        peer.said += len(GET)
        peer.hear(len(OK))
        peer.reset()


def cuts(*at: int) -> list[Piece]:
    """Pieces between offsets."""
    return list(itertools.pairwise(at))


@FAMILIES
def test_every_order_of_four_segments(
    wire: Wire, door: socket.socket, seen: Seen, family: int
) -> None:
    orders = list(itertools.permutations(cuts(0, 10, 500, 900, len(POST))))
    for order in orders:
        serve(wire, door, POST, order)

    port = door.getsockname()[1]
    assert seen.counts(port) == {("POST", 200): len(orders), ("GET", 200): 2 * len(orders)}
    assert seen.edge(port)["desyncs"] == 0
    posts = next(one for one in seen.requests(port) if one.method == "POST")
    assert (posts.request_bytes, posts.ended) == (len(orders) * len(POST), len(orders))


OVERLAPS: dict[str, list[Piece]] = {
    "sent twice": [(0, 800), (0, 800), (800, len(POST)), (0, 800)],
    "overlapping, in order": [(0, 100), (50, 300), (299, 800), (0, len(POST))],
    "overlapping, late": [(100, 400), (300, 900), (0, 200), (800, len(POST))],
    "the same start, longer": [(100, 200), (100, 900), (0, 100), (900, len(POST))],
    "the same start, shorter": [(100, 900), (100, 200), (0, 100), (900, len(POST))],
    "within another": [(100, 1000), (200, 300), (0, 150), (1000, len(POST))],
    "a head in the last byte": [(1, len(POST)), (0, 1)],
    "byte by byte from behind": [
        (20, len(POST)), (3, 20), (2, 3), (1, 2), (0, 1),
    ],
    "a long run behind a gap": [
        *cuts(1, 300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200, len(POST)), (0, 1),
    ],
}  # fmt: skip


@FAMILIES
@pytest.mark.parametrize("pieces", OVERLAPS.values(), ids=OVERLAPS.keys())
def test_overlapping_segments(
    wire: Wire, door: socket.socket, seen: Seen, family: int, pieces: list[Piece]
) -> None:
    serve(wire, door, POST, pieces)

    port = door.getsockname()[1]
    assert seen.counts(port) == {("POST", 200): 1, ("GET", 200): 2}
    assert seen.edge(port)["desyncs"] == 0


@FAMILIES
def test_pipelined_requests_in_reverse(
    wire: Wire, door: socket.socket, seen: Seen, family: int
) -> None:
    size = len(GET)
    serve(wire, door, GET * 4, cuts(0, size, 2 * size - 3, 3 * size + 1, 4 * size)[::-1])

    port = door.getsockname()[1]
    assert seen.counts(port) == {("GET", 200): 3, ("GET", 0): 3}
    assert seen.edge(port)["desyncs"] == 0


@FAMILIES
def test_a_megabyte_behind_a_gap(wire: Wire, door: socket.socket, seen: Seen, family: int) -> None:
    """A lost segment with a window of others behind it: within a body only lengths matter."""
    body = b"z" * 40_000
    upload = b"PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    serve(
        wire, door, upload, [(0, 40), *cuts(*range(60, len(upload), 1400), len(upload)), (40, 60)]
    )

    port = door.getsockname()[1]
    assert seen.counts(port) == {("PUT", 200): 1, ("GET", 200): 2}
    assert seen.edge(port)["desyncs"] == 0


@FAMILIES
def test_what_tcp_would_not_take_is_not_read(
    wire: Wire, door: socket.socket, seen: Seen, family: int
) -> None:
    """Somebody guesses at the connection: segments far outside its window, keep-alive probes."""
    peer = Peer.connect(wire, door, port=next(_ports), isn=1000)
    with door.accept()[0] as server:
        server.settimeout(10)
        for number in range(20):
            peer.say(50_000_000 + number * 100_000_000, b"garbage " * 9)
        peer.say(-1, b"?")
        peer.say(0, GET[:5])
        peer.say(4, b"/")
        peer.say(4, GET[4:])
        receive(server, len(GET))
        peer.say(len(GET) - 1, b"\n")
        server.sendall(OK)
        peer.said = len(GET)
        peer.hear(len(OK))
        peer.reset()

    port = door.getsockname()[1]
    assert seen.counts(port) == {("GET", 200): 1}
    assert seen.edge(port)["desyncs"] == 0


@FAMILIES
def test_more_gaps_than_can_be_held_are_a_desync(
    wire: Wire, door: socket.socket, seen: Seen, family: int
) -> None:
    before = seen.stat("held_overflow")
    pieces = [(at, at + 10) for at in range(20, len(POST) - 10, 100)]

    serve(wire, door, POST, [*pieces, (0, len(POST))])

    port = door.getsockname()[1]
    assert seen.stat("held_overflow") > before
    assert seen.edge(port)["desyncs"] == 1
    assert seen.counts(port) == {("GET", 200): 2}


@FAMILIES
def test_an_answer_sent_again_is_one_answer(
    wire: Wire, door: socket.socket, seen: Seen, family: int
) -> None:
    """The host's own retransmission passes the tap a second time."""
    peer = Peer.connect(wire, door, port=next(_ports), isn=7)
    with door.accept()[0] as server:
        peer.say(0, GET)
        receive(server, len(GET))
        server.sendall(OK)
        peer.said = len(GET)
        assert peer.hear_silently(len(OK)) == OK
        assert peer.hear_silently(len(OK)) == OK  # after the retransmission timeout
        peer.acknowledge(len(OK))
        peer.reset()

    port = door.getsockname()[1]
    (series,) = seen.requests(port)
    assert (series.requests, series.ended, series.response_bytes) == (1, 1, len(OK))
    edge = seen.edge(port)
    assert edge["retransmits"] >= 1
    assert (edge["rx_bytes"], edge["tx_bytes"]) == (len(OK), len(GET))


@FAMILIES
def test_answers_out_of_order(b: Host, wire: Wire, seen: Seen, family: int) -> None:
    """The host is the client; every order of four segments of an answer with chunks."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + 9 * (
        b"64\r\n" + b"x" * 100 + b"\r\n"
    )
    answer += b"0\r\n\r\n"
    port = 6000 if family == socket.AF_INET else 6001
    orders = list(itertools.permutations(cuts(0, 12, 333, 700, len(answer))))
    for order in orders:
        with b.open(family) as client:
            client.setblocking(False)
            client.connect_ex((THERE[family], port))
            peer = Peer.accept(wire, family=family, port=port, isn=next(_numbers))
            client.settimeout(10)
            client.sendall(GET)
            peer.hear(len(GET))
            for begin, end in order:
                peer.say(begin, answer[begin:end])
            assert receive(client, len(answer)) == answer
            client.sendall(GET)
            peer.said = len(answer)
            peer.hear(len(GET))
            peer.say(len(answer), OK)
            receive(client, len(OK))
            peer.said += len(OK)
            peer.reset()

    (series,) = seen.requests(port)
    assert (series.client, series.server) == ("b", THERE[family])
    assert (series.requests, series.ended) == (2 * len(orders), 2 * len(orders))
    assert series.response_bytes == len(orders) * (len(answer) + len(OK))
    assert seen.edge(port)["desyncs"] == 0


@pytest.mark.parametrize("family", [socket.AF_INET6], ids=["v6"])
def test_ipv6_extension_headers(wire: Wire, door: socket.socket, seen: Seen, family: int) -> None:
    peer = Peer.connect(wire, door, port=next(_ports), isn=7)
    with door.accept()[0] as server:
        peer.say(0, GET, extended=True)
        receive(server, len(GET))
        server.sendall(OK)
        peer.said = len(GET)
        peer.hear(len(OK))
        peer.reset()

    assert seen.counts(door.getsockname()[1]) == {("GET", 200): 1}
    assert seen.stat("malformed") == 0


@FAMILIES
def test_data_instead_of_the_last_acknowledgement_of_the_handshake(
    wire: Wire, door: socket.socket, seen: Seen, family: int
) -> None:
    """The acknowledgement was lost, so the first data makes the connection."""
    peer = Peer(wire, family=family, ours=next(_ports), theirs=door.getsockname()[1], isn=7)
    peer._send("S", 7, b"")
    peer._expect_handshake("SA")
    peer.say(0, GET + POST[:300])
    with door.accept()[0] as server:
        server.settimeout(10)
        peer.say(len(GET) + 300, POST[300:])
        receive(server, len(GET + POST))
        server.sendall(OK + OK)
        peer.said = len(GET + POST)
        peer.hear(len(OK + OK))
        peer.reset()

    port = door.getsockname()[1]
    assert seen.counts(port) == {("GET", 200): 1, ("POST", 200): 1}
    assert sum(one.request_bytes for one in seen.requests(port)) == len(GET + POST)
    assert seen.edge(port)["desyncs"] == 0
