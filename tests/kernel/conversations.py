# SPDX-License-Identifier: Apache-2.0
"""Valid HTTP/1.x conversations (RFC 9112) with what must be counted of them, for hypothesis."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

from tests.kernel.judging import Side

Framing = Literal["length", "chunked", "close", "none"]
Order = Literal["ask, answer", "answer early", "continue"]

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH")
STATUSES = (200, 201, 202, 204, 206, 301, 304, 400, 404, 408, 429, 500, 502, 503, 999)

BODIES = (
    b"x",
    b"hello, world",
    b"GET / HTTP/1.1\r\nHost: inside\r\n\r\n",
    b"HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nabc",
    b"\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nContent-Length: 99999\r\n\r\n" * 4,
    bytes(range(256)),
    b"\n" * 131,
    b"Transfer-Encoding: chunked\r\n" * 12,
    b"y" * 127 + b"HTTP/1.1 200 OK\r\n\r\n" * 9,
    b"z" * 3000,
)
HEADERS = (
    b"Host: example.com",
    b"host:a",
    b"Cookie: " + b"c" * 300,
    b"X-Long: " + b"l" * 1500,
    b"Content-Type: text/plain",
    b"Content-Lengthy: 7",
    b"Content-Length-X: 8",
    b"X-Content-Length: 9",
    b"Transfer-Encodings: chunked",
    b"TE: trailers, chunked",
    b"Trailer: Expires",
    b"c:",
    b"t: u",
    b"Connection: keep-alive",
    b"Accept: */*, HTTP/1.1 200 OK",
    b"Via: 1.1 chunked",
)
INTERIMS = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
)
LENGTH_NAMES = (b"Content-Length", b"content-length", b"CONTENT-LENGTH", b"cOnTeNt-LeNgTh")
CODING_NAMES = (b"Transfer-Encoding", b"transfer-encoding", b"TRANSFER-ENCODING")
TARGETS = (b"/", b"*", b"/a/long/" + b"p" * 200, b"/q?a=1&b=HTTP/1.1", b"http://h/abs", b"/%20")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what it is answered: bytes as sent, and what is true of them."""

    request: bytes
    head: int  # bytes of the request's head
    method: str
    interim: bytes  # answers of class 1xx that come first
    answer: bytes
    status: int
    framing: Framing
    order: Order
    last: bool  # the connection is no longer HTTP, or over, after it


Line = tuple[Side, bytes]
"""Somebody says something, before the other says anything more."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What both say in which order, and what must have been counted when it is over."""

    lines: tuple[Line, ...]
    counts: Counter[tuple[str, int]]  # (method, status) → requests
    ended: Counter[tuple[str, int]]
    response_bytes: Counter[tuple[str, int]]
    request_bytes: int  # of all requests


def _end(draw: st.DrawFn) -> bytes:
    return draw(st.sampled_from((b"\r\n", b"\r\n", b"\r\n", b"\n")))


def _chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """A chunked body with extensions and trailers (RFC 9112 7.1)."""
    out, at = b"", 0
    while at < len(body):
        size = draw(st.sampled_from((1, 2, 9, 16, 255, 1024, 5000)))
        piece = body[at : at + size]
        at += len(piece)
        text = draw(st.sampled_from(("%x", "%X", "0%x", "00000%x"))) % len(piece)
        extension = draw(st.sampled_from((b"", b"", b";a=b", b' ; q="0\\"1"', b";" + b"e" * 200)))
        out += text.encode() + extension + b"\r\n" + piece + b"\r\n"
    out += draw(st.sampled_from((b"0", b"000", b"0;last"))) + b"\r\n"
    for trailer in draw(st.lists(st.sampled_from((b"Expires: 0", b"c: d", b"0: 1")), max_size=2)):
        out += trailer + b"\r\n"
    return out + b"\r\n"


def _message(draw: st.DrawFn, start: bytes, *, framing: Framing, body: bytes) -> tuple[bytes, int]:
    """(bytes, length of the head) of a message."""
    end = _end(draw)
    headers = list(draw(st.lists(st.sampled_from(HEADERS), max_size=4)))
    blank = draw(st.sampled_from((b" ", b"", b"\t ")))
    if framing == "length":
        name = draw(st.sampled_from(LENGTH_NAMES))
        digits = draw(st.sampled_from((b"%d", b"%d ", b"000%d"))) % len(body)
        headers.append(name + b":" + blank + digits)
    elif framing == "chunked":
        value = draw(st.sampled_from((b"chunked", b"Chunked", b"gzip, chunked", b"gzip,chunked ")))
        headers.append(draw(st.sampled_from(CODING_NAMES)) + b":" + blank + value)
        body = _chunked(draw, body)
    headers = draw(st.permutations(headers))
    head = end.join([start, *headers]) + end + end
    return head + body, len(head)


@st.composite
def exchanges(draw: st.DrawFn, *, last: bool, method: str | None = None) -> Exchange:
    """One exchange; `last` may end the connection or turn it into something else."""
    asked = draw(st.sampled_from(METHODS)) if method is None else method
    status = draw(st.sampled_from(STATUSES))
    framing = draw(
        st.sampled_from(("length", "chunked", "close") if last else ("length", "chunked"))
    )
    ends = framing == "close"
    if last and draw(st.booleans()):
        asked, status, framing, ends = draw(
            st.sampled_from(
                (
                    ("CONNECT", 200, "none", True),
                    (asked, 101, "none", True),
                    ("CONNECT", 407, framing, ends),
                )
            )
        )
    version = draw(st.sampled_from((b"HTTP/1.1", b"HTTP/1.0")))
    target = draw(st.sampled_from(TARGETS))
    request_framing = draw(st.sampled_from(("none", "none", "length", "chunked")))
    request_body = b"".join(draw(st.lists(st.sampled_from(BODIES), max_size=3)))
    if request_framing == "none":
        request_body = b""
    request, head = _message(
        draw,
        asked.encode() + b" " + target + b" " + version,
        framing=request_framing,
        body=request_body,
    )
    body = (
        b"" if framing == "none" else b"".join(draw(st.lists(st.sampled_from(BODIES), max_size=3)))
    )
    reason = draw(st.sampled_from((b" OK", b"", b" ", b" GET / HTTP/1.1")))
    answer, answer_head = _message(
        draw, version + b" %d" % status + reason, framing=framing, body=body
    )
    if asked == "HEAD" or status in (204, 304):  # RFC 9112 6.3 rule 1
        answer, ends = answer[:answer_head], False
    interim = b"".join(draw(st.lists(st.sampled_from(INTERIMS), max_size=2)))
    orders: tuple[Order, ...] = ("ask, answer", "ask, answer", "answer early", "continue")
    order = "ask, answer" if framing == "none" else draw(st.sampled_from(orders))
    return Exchange(request, head, asked, interim, answer, status, framing, order, ends)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Some exchanges one after the other, some pipelined; at the end perhaps a tunnel."""
    lines: list[Line] = []
    done: list[Exchange] = []
    for _ in range(draw(st.integers(0, 4))):
        if draw(st.integers(0, 4)) == 0:
            batch = draw(_pipelines())
            lines.append(("client", b"".join(e.request for e in batch)))
            lines.append(("server", b"".join(e.interim + e.answer for e in batch)))
            done += batch
        else:
            done.append(draw(exchanges(last=False)))
            lines += _said(draw, done[-1])
    final = draw(exchanges(last=True))
    done.append(final)
    lines += _said(draw, final)
    if final.last and final.framing == "none":
        lines += [("client", BODIES[2]), ("server", BODIES[3]), ("client", b"\n" * 2000)]
    return _counted(lines, done)


@st.composite
def _pipelines(draw: st.DrawFn) -> list[Exchange]:
    """Requests sent before the first is answered: many of one method, or few of any."""
    if draw(st.booleans()):
        return list(draw(st.lists(exchanges(last=False), min_size=2, max_size=8)))
    one = draw(exchanges(last=False))
    return [one] * draw(st.integers(2, 300 if len(one.request) + len(one.answer) < 500 else 20))


def _said(draw: st.DrawFn, exchange: Exchange) -> Iterator[Line]:
    blank = draw(st.sampled_from((b"", b"", b"", b"\r\n", b"\n\r\n")))  # RFC 9112 2.2
    request, early = exchange.request, exchange.order == "answer early"
    cut = exchange.head + (len(request) - exchange.head) // 2
    if exchange.order == "continue":
        yield "client", blank + request[: exchange.head]
        yield "server", b"HTTP/1.1 100 Continue\r\n\r\n"
        yield "client", request[exchange.head :]
    else:
        yield "client", blank + request[: cut if early else len(request)]
    yield "server", exchange.interim
    yield "server", exchange.answer
    if early:
        yield "client", request[cut:]


def _counted(lines: Sequence[Line], done: Sequence[Exchange]) -> Conversation:
    counts: Counter[tuple[str, int]] = Counter()
    ended: Counter[tuple[str, int]] = Counter()
    response_bytes: Counter[tuple[str, int]] = Counter()
    for exchange in done:
        key = exchange.method, exchange.status
        counts[key] += 1
        ended[key] += 1
        response_bytes[key] += len(exchange.answer)
    return Conversation(
        lines=tuple(line for line in lines if line[1]),
        counts=counts,
        ended=ended,
        response_bytes=response_bytes,
        request_bytes=sum(len(exchange.request) for exchange in done),
    )


Segment = tuple[Side, int, bytes]
"""Who, at which offset of what he says, what."""


def segments(lines: Sequence[Line], *, luck: random.Random, most: int = 3000) -> Iterator[Segment]:
    """The lines as TCP might carry them: cut anywhere, with retransmissions and overlaps."""
    said = {"client": b"", "server": b""}
    for side, text in lines:
        at = len(said[side])
        said[side] += text
        whole = said[side]
        step = luck.choice((1, 2, 7, 127, 128, 129, 536, 1448, most))
        if len(text) > 600 * step:
            step = most
        while at < len(whole):
            size = step if luck.random() < 0.7 else luck.randint(1, most)
            end = min(len(whole), at + size)
            begin = at
            if luck.random() < 0.1:  # overlaps what came before
                begin = max(0, at - luck.randint(1, 200), end - most)
            yield side, begin, whole[begin:end]
            at = end
            if luck.random() < 0.1:  # sent again, whole or in part
                begin = luck.randint(max(0, at - 400), at - 1)
                yield side, begin, whole[begin : luck.randint(begin + 1, min(at, begin + most))]
