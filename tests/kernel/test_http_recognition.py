# SPDX-License-Identifier: Apache-2.0
"""What is HTTP/1.x is told by content alone, and nothing else is ever counted as it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernel.judging import Judge, Side

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00"
HELLO = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"

OTHERS: dict[str, tuple[tuple[Side, bytes], ...]] = {
    "redis inline PING": (("client", b"PING\r\n"), ("server", b"+PONG\r\n")),
    "redis inline GET": (("client", b"GET foo\r\n"), ("server", b"$-1\r\n")),
    "redis inline GET, short": (("client", b"GET f\r\n"), ("server", b"$-1\r\n")),
    "redis": (("client", b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"), ("server", b"$-1\r\n")),
    "memcached": (("client", b"get foo\r\n"), ("server", b"END\r\n")),
    "memcached binary": (("client", b"\x80" + bytes(23)), ("server", b"\x81" + bytes(23))),
    "SMTP": (
        ("server", b"220 mail ESMTP\r\n"),
        ("client", b"EHLO a\r\n"),
        ("server", b"250 a\r\n"),
    ),
    "SSH": (("server", b"SSH-2.0-OpenSSH_9.2\r\n"), ("client", b"SSH-2.0-OpenSSH_9.2\r\n")),
    "MySQL": (("server", b"J\x00\x00\x00\x0a8.0.36\x00"), ("client", b"\x20\x00\x00\x01")),
    "PostgreSQL": (("client", b"\x00\x00\x00\x08\x04\xd2\x16/"), ("server", b"N")),
    "RTSP": (
        ("client", b"OPTIONS rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
        ("server", b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"),
    ),
    "SIP": (
        ("client", b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP b\r\n\r\n"),
        ("server", b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ),
    "HTTP/0.9": (("client", b"GET /\r\n"), ("server", b"<html>")),
    "HTTP/2 in a request line": (("client", b"GET / HTTP/2.0\r\n\r\n"), ("server", OK)),
    "method unknown": (("client", b"PROPFIND / HTTP/1.1\r\n\r\n"), ("server", OK)),
    "method in lower case": (("client", b"get / HTTP/1.1\r\n\r\n"), ("server", OK)),
    "method too long": (("client", b"GETTTTTTTTT / HTTP/1.1\r\n\r\n"), ("server", OK)),
    "almost": (("client", b"GET / HTTP/1.x\r\n\r\n"), ("server", OK)),
    "answer first": (("server", OK[:20]), ("client", b"\x00\x01")),
    "zero bytes": (("client", bytes(200)), ("server", bytes(200))),
}


def talk(judge: Judge, *lines: tuple[Side, bytes], ours: Side, size: int) -> None:
    judge.begin(ours=ours)
    said = {"client": 0, "server": 0}
    for side, text in lines:
        for at in range(0, len(text), size):
            judge.say(side, said[side], text[at : at + size])
            said[side] += len(text[at : at + size])
    judge.over()


@pytest.mark.parametrize("ours", ["client", "server"])
@pytest.mark.parametrize("size", [1, 5, 3000])
@pytest.mark.parametrize("lines", OTHERS.values(), ids=OTHERS.keys())
def test_other_protocols_are_plain_tcp(
    judge: Judge, lines: tuple[tuple[Side, bytes], ...], ours: Side, size: int
) -> None:
    """Also when HTTP follows, on whatever port."""
    talk(judge, *lines, ("client", GET), ("server", OK), ours=ours, size=size)

    assert judge.protocol == "tcp"
    assert judge.series() == {}
    assert judge.desyncs == 0


@pytest.mark.parametrize("ours", ["client", "server"])
@pytest.mark.parametrize("size", [1, 6, 3000])
def test_the_http2_preface(judge: Judge, ours: Side, size: int) -> None:
    talk(judge, ("client", PREFACE), ("server", OK), ("client", GET), ours=ours, size=size)

    assert judge.protocol == "http2"
    assert judge.series() == {}


@pytest.mark.parametrize("ours", ["client", "server"])
def test_a_tls_record(judge: Judge, ours: Side) -> None:
    talk(judge, ("client", HELLO), ("server", OK), ("client", GET), ours=ours, size=3000)

    assert judge.protocol == "tls"
    assert judge.series() == {}


@pytest.mark.parametrize("ours", ["client", "server"])
@pytest.mark.parametrize("other", [PREFACE, HELLO], ids=["http2", "tls"])
def test_a_connection_that_was_http_stays_so(judge: Judge, ours: Side, other: bytes) -> None:
    """What is open when a client suddenly speaks something else is lost, and said to be."""
    talk(judge, ("client", GET), ("server", OK), ("client", GET + other), ours=ours, size=3000)

    assert judge.protocol == "http1"
    assert judge.series()["GET", 200].requests == 1
    assert judge.desyncs == 1


@pytest.mark.parametrize("ours", ["client", "server"])
def test_a_connection_that_says_nothing_is_tcp(judge: Judge, ours: Side) -> None:
    talk(judge, ours=ours, size=1)

    assert judge.protocol == "tcp"


@given(
    first=st.binary(max_size=300).filter(lambda said: said.lstrip(b"\r\n")[:1] != b"\x16"),
    answer=st.binary(max_size=300),
    seed=st.integers(0, 1 << 32),
    ours=st.sampled_from(("client", "server")),
)
@settings(max_examples=200, derandomize=True, database=None, deadline=None)
def test_random_bytes_are_nothing(
    judge: Judge, first: bytes, answer: bytes, seed: int, ours: Side
) -> None:
    luck = random.Random(seed)
    tail = luck.randbytes(200)
    talk(judge, ("client", first + tail), ("server", answer), ours=ours, size=luck.randint(1, 600))

    assert judge.series() == {}
    assert judge.protocol in ("tcp", "tls")
    assert judge.desyncs == 0
