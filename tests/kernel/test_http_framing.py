# SPDX-License-Identifier: Apache-2.0
"""Where HTTP/1.x messages end and how requests meet answers, case by case."""

from typing import Literal, get_args

import pytest

from tests.kernel.judging import Judge, Series, Side

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CODING = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\n" + CODING
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

End = Literal["client", "server"]


@pytest.fixture(params=get_args(End))
def ours(request: pytest.FixtureRequest) -> End:
    """Which end of the connection is on this host."""
    chosen: End = request.param
    return chosen


def talk(judge: Judge, *lines: tuple[Side, bytes], ours: End, size: int = 3000) -> None:
    """Says the lines in order, in segments of `size`; the connection is then over."""
    judge.begin(ours=ours)
    said = {"client": 0, "server": 0}
    for side, text in lines:
        for at in range(0, len(text), size):
            piece = text[at : at + size]
            judge.say(side, said[side], piece)
            said[side] += len(piece)
    judge.over()


def counted(judge: Judge) -> dict[tuple[str, int], tuple[int, int, int]]:
    """(method, status) → (requests, ended, response bytes)."""
    return {key: one.counts for key, one in judge.series().items()}


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "HEAD", "CONNECT"]
)
@pytest.mark.parametrize("size", [1, 7, 3000])
def test_every_method_of_rfc_9110_and_patch(
    judge: Judge, ours: End, method: str, size: int
) -> None:
    answer = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n" + b"no" * (method != "HEAD")

    talk(
        judge,
        ("client", method.encode() + b" / HTTP/1.1\r\n\r\n"),
        ("server", answer),
        ours=ours,
        size=size,
    )

    assert counted(judge) == {(method, 403): (1, 1, len(answer))}
    assert judge.desyncs == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 \nContent-Length: 1\n\n.",
        CHUNKED + b"0\r\n\r\n",
        CHUNKED + b"0\r\nETag: c\r\ncontent-length: 9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n" + CODING + b"1;x\r\na\r\n0\r\n\r\n",
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 8\r\n"
            b"Transfer-Encoding: gzip\r\n" + CODING + b"0\r\n\r\n"
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 3000])
def test_an_answer_ends_where_the_rfc_says(
    judge: Judge, ours: End, answer: bytes, size: int
) -> None:
    """The next one on the connection is read from its first byte (RFC 9112 6.3)."""
    exchange: tuple[tuple[Side, bytes], ...] = (("client", GET), ("server", answer))

    talk(judge, *exchange, *exchange, ("client", GET), ("server", OK), ours=ours, size=size)

    assert sum(one.requests for one in judge.series().values()) == 3
    assert sum(one.ended for one in judge.series().values()) == 3
    assert judge.desyncs == 0


def test_an_answer_without_length_ends_with_the_connection(judge: Judge, ours: End) -> None:
    answer = b"HTTP/1.0 200 OK\r\n\r\n" + GET + OK

    talk(judge, ("client", GET), ("server", answer), ours=ours)

    assert counted(judge) == {("GET", 200): (1, 1, len(answer))}


def test_a_reset_does_not_end_an_answer_without_length(judge: Judge, ours: End) -> None:
    judge.begin(ours=ours)
    judge.say("client", 0, GET)
    judge.say("server", 0, b"HTTP/1.0 200 OK\r\n\r\nhalf")
    judge.reset()
    judge.over()

    assert counted(judge) == {("GET", 200): (1, 0, 23)}


def test_an_answer_cut_in_its_body_is_answered_but_not_ended(judge: Judge, ours: End) -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 60

    talk(judge, ("client", GET), ("server", cut), ours=ours)

    assert counted(judge) == {("GET", 200): (1, 0, len(cut))}


@pytest.mark.parametrize(
    "begun", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.", b"HTTP/1.1 20"]
)
def test_requests_without_an_answer_are_cut(judge: Judge, ours: End, begun: bytes) -> None:
    post = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"

    talk(judge, ("client", GET + GET + post), ("server", begun), ours=ours)

    series = judge.series()
    assert {key: one.requests for key, one in series.items()} == {("GET", 0): 2, ("POST", 0): 1}
    assert series["GET", 0].request_bytes == 2 * len(GET)
    assert series["POST", 0].request_bytes == len(post)


def test_an_upload_of_gigabytes_is_counted_in_full(judge: Judge, ours: End) -> None:
    length = 5 << 30
    head = b"PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % length

    judge.begin(ours=ours)
    judge.say("client", 0, head)
    judge.skip("client", len(head) + length, body=length)
    judge.say("server", 0, OK)
    judge.say("client", len(head) + length, GET)
    judge.say("server", len(OK), OK)
    judge.over()

    assert judge.series()["PUT", 200].request_bytes == len(head) + length
    assert counted(judge)["GET", 200] == (1, 1, len(OK))


def test_an_answer_before_the_request_ends(judge: Judge, ours: End) -> None:
    """A 413 to an upload that goes on; its bytes are still those of that request."""
    head = b"POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n"
    refused = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"

    talk(
        judge,
        ("client", head + b"x" * 1000),
        ("server", refused),
        ("client", b"x" * 4000),
        ("client", GET),
        ("server", OK),
        ours=ours,
    )

    series = judge.series()
    assert counted(judge) == {
        ("POST", 413): (1, 1, len(refused)),
        ("GET", 200): (1, 1, len(OK)),
    }
    total = sum(one.request_bytes for one in series.values())
    assert total == len(head) + 5000 + len(GET)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (GET, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
        (b"CONNECT a:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 Connected\r\nContent-Length: 9\r\n\r\n"),
    ],
)
def test_a_tunnel_is_not_read(judge: Judge, ours: End, request_: bytes, answer: bytes) -> None:
    talk(
        judge,
        ("client", request_),
        ("server", answer + OK),
        ("client", GET),
        ("server", OK),
        ("client", b"\x16\x03\x01"),
        ours=ours,
    )

    assert [one.counts for one in judge.series().values()] == [(1, 1, len(answer))]
    assert judge.desyncs == 0
    assert judge.protocol == "http1"


def test_a_refused_connect_leaves_the_connection_http(judge: Judge, ours: End) -> None:
    refused = b"HTTP/1.1 407 Who\r\nContent-Length: 2\r\n\r\nno"

    talk(
        judge,
        ("client", b"CONNECT a:443 HTTP/1.1\r\n\r\n"),
        ("server", refused),
        ("client", GET),
        ("server", OK),
        ours=ours,
    )

    assert counted(judge) == {
        ("CONNECT", 407): (1, 1, len(refused)),
        ("GET", 200): (1, 1, len(OK)),
    }


def test_hundreds_pipelined_in_one_segment(judge: Judge, ours: End) -> None:
    asked = b"GET / HTTP/1.1\r\n\r\n" * 160
    answer = b"HTTP/1.1 204 \r\n\r\n"

    talk(judge, ("client", asked), ("server", answer * 160), ours=ours, size=3000)

    assert counted(judge) == {("GET", 204): (160, 160, 160 * len(answer))}
    assert judge.series()["GET", 204].request_bytes == len(asked)


def test_pipelined_requests_of_many_segments_share_start_times(judge: Judge, ours: End) -> None:
    """There is room for eight runs; the rest joins the last, and the statistics say so."""
    talk(judge, *[("client", GET)] * 100, ("server", OK * 100), ours=ours)

    assert counted(judge) == {("GET", 200): (100, 100, 100 * len(OK))}
    assert judge.stat("pipeline_merged") == 92
    assert judge.desyncs == 0


def test_mixed_methods_pipelined_beyond_what_can_be_remembered_are_a_desync(
    judge: Judge, ours: End
) -> None:
    head = b"HEAD / HTTP/1.1\r\n\r\n"

    talk(judge, ("client", (GET + head) * 40), ("server", OK), ours=ours)

    assert judge.desyncs == 1
    assert judge.series() == {}


@pytest.mark.parametrize("chunk", [b"1\r\nx\r\n", b"0a\r\n0123456789\r\n", b"ff;" + b"e" * 90])
def test_many_chunks_in_one_segment(judge: Judge, ours: End, chunk: bytes) -> None:
    if chunk.startswith(b"ff"):
        chunk += b"\r\n" + b"z" * 255 + b"\r\n"
    count = 2900 // len(chunk)
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * count + b"0\r\n\r\n"

    talk(judge, ("client", GET), ("server", answer), ("client", GET), ("server", OK), ours=ours)

    assert counted(judge) == {("GET", 200): (2, 2, len(answer) + len(OK))}
    assert judge.desyncs == 0


def test_an_answer_nobody_asked_for_is_read_but_not_counted(judge: Judge, ours: End) -> None:
    """A server's 408 on a connection that is being closed; a 204 has no body even then."""
    timeout = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nslow"

    talk(
        judge,
        ("client", GET),
        ("server", OK),
        ("server", timeout),
        ("server", b"HTTP/1.1 204 \r\n\r\n"),
        ("client", GET),
        ("server", OK),
        ours=ours,
    )

    assert counted(judge) == {("GET", 200): (2, 2, 2 * len(OK))}
    assert judge.desyncs == 0


def test_empty_lines_between_messages_belong_to_none(judge: Judge, ours: End) -> None:
    talk(
        judge,
        ("client", b"\r\n\r\n" + GET + b"\r\n"),
        ("server", OK),
        ("client", b"\n" + GET),
        ("server", OK),
        ours=ours,
    )

    assert judge.series() == {
        ("GET", 200): Series(
            requests=2,
            ended=2,
            request_bytes=2 * len(GET),
            response_bytes=2 * len(OK),
            duration_ns=judge.series()["GET", 200].duration_ns,
            ended_ns=judge.series()["GET", 200].ended_ns,
        )
    }


def test_ipv6_is_no_different(judge: Judge) -> None:
    judge.begin(ours="server", version=6)
    judge.say("client", 0, GET)
    judge.say("server", 0, OK)

    assert counted(judge) == {("GET", 200): (1, 1, len(OK))}
