# SPDX-License-Identifier: Apache-2.0
"""Framing that cannot be known: counted as a desync, once, never guessed; and found again."""

import pytest

from tests.kernel.judging import Judge, Side

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

BAD_HEADS = {
    "two lengths": b"Content-Length: 3\r\nContent-Length: 4",
    "the same length twice": b"Content-Length: 3\r\nContent-Length: 3",
    "a list of lengths": b"Content-Length: 3, 3",
    "a negative length": b"Content-Length: -3",
    "a signed length": b"Content-Length: +3",
    "a hexadecimal length": b"Content-Length: 0x3",
    "two numbers": b"Content-Length: 3 3",
    "no number": b"Content-Length:",
    "a folded length": b"Content-Length:\r\n 3",
    "more than 2^64": b"Content-Length: 99999999999999999999999",
}
BAD_CHUNKS = {
    "no size": b"\r\nabc\r\n",
    "not hexadecimal": b"xyz\r\nabc\r\n",
    "a sign": b"-3\r\nabc\r\n",
    "a size that goes on": b"3z\r\nabc\r\n",
    "more than 2^60": b"1000000000000000\r\nabc\r\n",
    "data longer than its size": b"3\r\nabcdef\r\n0\r\n\r\n",
    "data without its line end": b"3\r\nabc3\r\nabc\r\n0\r\n\r\n",
}


class Talk:
    """Says lines one after the other, each a segment."""

    def __init__(self, judge: Judge, *, ours: Side) -> None:
        self._judge = judge
        self._said = {"client": 0, "server": 0}
        judge.begin(ours=ours)

    def __call__(self, side: Side, text: bytes) -> None:
        self._judge.say(side, self._said[side], text)
        self._said[side] += len(text)


@pytest.fixture(params=["client", "server"])
def talk(judge: Judge, request: pytest.FixtureRequest) -> Talk:
    """A fresh connection, seen from either end."""
    return Talk(judge, ours=request.param)


@pytest.mark.parametrize("header", BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_a_request_whose_length_cannot_be_known(judge: Judge, talk: Talk, header: bytes) -> None:
    talk("client", b"POST / HTTP/1.1\r\n" + header + b"\r\n\r\nabc")
    talk("server", OK)

    assert judge.desyncs == 1
    assert judge.series() == {}
    talk("client", GET)
    talk("server", OK)
    assert {key: one.requests for key, one in judge.series().items()} == {("GET", 200): 1}
    assert judge.desyncs == 1


@pytest.mark.parametrize("header", BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_an_answer_whose_length_cannot_be_known(judge: Judge, talk: Talk, header: bytes) -> None:
    talk("client", GET)
    talk("server", b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\nabc")

    assert judge.desyncs == 1
    talk("client", GET)
    talk("server", OK)
    judge.over()
    assert judge.series()["GET", 200].ended == 1
    assert ("GET", 0) not in judge.series()


@pytest.mark.parametrize("chunk", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
@pytest.mark.parametrize("side", ["client", "server"])
def test_broken_chunks(judge: Judge, talk: Talk, chunk: bytes, side: Side) -> None:
    coding = b"Transfer-Encoding: chunked\r\n\r\n"
    if side == "client":
        talk("client", b"POST / HTTP/1.1\r\n" + coding + chunk)
    else:
        talk("client", GET)
        talk("server", b"HTTP/1.1 200 OK\r\n" + coding + chunk)

    assert judge.desyncs == 1
    talk("client", GET)
    talk("server", OK)
    judge.over()
    assert judge.series()["GET", 200].ended == 1
    assert judge.desyncs == 1


@pytest.mark.parametrize(
    "garbage",
    [b"garbage", b"GET /\r\n\r\n", b"\x00", b"HTTP/1.1 200 OK\r\n\r\n", b"get / HTTP/1.1\r\n"],
)
def test_garbage_after_a_request(judge: Judge, talk: Talk, garbage: bytes) -> None:
    talk("client", GET)
    talk("server", OK)
    talk("client", garbage + b"\r\n\r\n")

    assert judge.desyncs == 1
    talk("client", GET)
    talk("server", OK)
    judge.over()
    assert {key: one.counts for key, one in judge.series().items()} == {
        ("GET", 200): (2, 2, 2 * len(OK))
    }


def test_garbage_where_an_answer_should_begin(judge: Judge, talk: Talk) -> None:
    talk("client", GET)
    talk("server", b"garbage")
    talk("server", b"more")

    assert judge.desyncs == 1
    for _ in range(3):
        talk("client", GET)
        talk("server", OK)
    judge.over()
    assert {key: one.requests for key, one in judge.series().items()} == {("GET", 200): 3}
    assert judge.desyncs == 1


def test_losing_it_again_leaves_no_request_to_a_stranger(judge: Judge, talk: Talk) -> None:
    """After each loss, what waited is forgotten: no later answer is taken for its."""
    for _ in range(200):
        talk("client", GET)
        talk("server", OK)
        talk("client", b"POST / HTTP/1.1\r\nHost: b\r\n\r\n")
        talk("server", b"garbage")
    talk("client", GET)
    talk("server", OK)
    judge.over()

    assert {key: one.requests for key, one in judge.series().items()} == {("GET", 200): 201}
    assert judge.desyncs == 1


def test_the_rest_of_a_body_is_not_taken_for_an_answer(judge: Judge, talk: Talk) -> None:
    """Framing of the client was lost while an answer was under way."""
    talk("client", GET)
    talk("server", b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n" + b"a" * 100)
    talk("client", b"garbage")
    talk("client", GET)
    talk("server", b"b" * 100)
    talk("server", b"c" * 100)
    talk("server", OK)
    judge.over()

    assert judge.series()["GET", 200].counts == (2, 1, len(OK))
    assert judge.desyncs == 1


def test_what_never_is_http_again_is_left_alone(judge: Judge, talk: Talk) -> None:
    talk("client", GET)
    talk("server", OK)
    for _ in range(600):
        talk("client", b"binary")
    talk("client", GET)
    talk("server", OK)
    judge.over()

    assert judge.series()["GET", 200].requests == 1
    assert judge.protocol == "http1"
    assert judge.desyncs == 1


@pytest.mark.parametrize("ours", ["client", "server"])
def test_a_connection_older_than_the_agent_is_read_from_its_next_request(
    judge: Judge, ours: Side
) -> None:
    judge.begin(ours=ours, old=True)
    talk: list[tuple[Side, bytes]] = [
        ("client", b"the rest of an upload"),
        ("server", b"HTTP/1.1 200 OK\r\n\r\n"),
    ]
    talk += [("client", GET), ("server", OK), ("client", GET), ("server", OK)]
    said = {"client": 7000, "server": 9000}
    for side, text in talk:
        judge.say(side, said[side], text)
        said[side] += len(text)
    judge.over()

    assert {key: one.counts for key, one in judge.series().items()} == {
        ("GET", 200): (2, 2, 2 * len(OK))
    }
    assert judge.desyncs == 0


@pytest.mark.parametrize("ours", ["client", "server"])
def test_an_old_connection_that_carries_tls_is_seen_to(judge: Judge, ours: Side) -> None:
    judge.begin(ours=ours, old=True)
    judge.say("client", 0, b"\x17\x03\x03\x00\x20" + bytes(32))

    assert judge.protocol == "tls"


@pytest.mark.parametrize("ours", ["client", "server"])
def test_a_gap_that_is_never_filled_does_not_keep_a_lost_stream_lost(
    judge: Judge, ours: Side
) -> None:
    judge.begin(ours=ours)
    judge.say("client", 0, b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n")
    judge.say("client", 500, GET)
    judge.say("server", 0, OK)
    judge.say("client", 100, b"what was missing, late")
    judge.say("client", 500 + len(GET), GET)
    judge.say("server", len(OK), OK)

    assert judge.series()["GET", 200].requests == 2
    assert judge.desyncs == 1
