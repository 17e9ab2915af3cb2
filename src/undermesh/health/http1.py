# SPDX-License-Identifier: Apache-2.0
"""Asking over HTTP/1.1: one request on a connection of its own, judged by its status (RFC 9112).

The status and the end of the headers decide; a body may be as long as it likes. What the endpoint
may send until then is bounded by HEAD_LIMIT, and by the check's time-out in time.
"""

import asyncio
from urllib.parse import quote

import httptools

from undermesh.health.answer import Answer, Failed, Passed
from undermesh.health.connecting import Stream
from undermesh.model.service import HttpCheck

HEAD_LIMIT = 65536
"""Bytes up to the end of the headers, interim (1xx) answers included."""

BODY_LIMIT = 65536
_BODY_SECONDS = 0.05


class _Head:
    """Follows httptools' callbacks up to the final status, and to the end of its message."""

    def __init__(self) -> None:
        self.status = 0
        self.complete = False
        self._interim = False
        self.parser = httptools.HttpResponseParser(self)

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        self._interim = 100 <= status < 200 and status != 101
        if not self._interim and not self.status:
            self.status = status

    def on_message_complete(self) -> None:
        self.complete = not self._interim


def request(check: HttpCheck, authority: str) -> bytes:
    """The bytes asked with. What a manifest says cannot add a line to them."""
    path = quote(check.path or "/", safe="/?:@!$&'()*+,;=-._~%[]")
    lines = (
        f"{_token(check.method) or 'GET'} {path} HTTP/1.1",
        f"Host: {_token(check.host) or authority}",
        "User-Agent: undermesh (health check)",
        "Accept: */*",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode()


async def ask(stream: Stream, check: HttpCheck, authority: str) -> Answer:
    """One question. Raises OSError when the connection breaks."""
    asked = f"{_token(check.method) or 'GET'} {check.path or '/'}"
    await stream.send(request(check, authority))
    head = _Head()
    while not head.status:
        data = await stream.receive()
        if not data:
            what = "in the middle of its headers" if stream.received else "without an answer"
            return Failed(f"{asked}: the connection was closed {what}")
        problem = _feed(head, data)
        if problem:
            return Failed(f"{asked}: {problem}")
        if stream.received > HEAD_LIMIT and not head.status:
            return Failed(f"{asked}: headers of more than {HEAD_LIMIT // 1024} KiB")
    if check.method != "HEAD":
        await _rest(stream, head)
    first, last = check.statuses
    text = f"{asked} answered {head.status}"
    if first <= head.status <= last:
        return Passed(text)
    return Failed(f"{text}, expected {first}" + (f" to {last}" if last != first else ""))


async def _rest(stream: Stream, head: _Head) -> None:
    """Reads a short body to its end: closing on unread bytes would reset the connection, which
    servers log and drop counters count. A long or slow one is cut."""
    limit = stream.received + BODY_LIMIT
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while not head.complete and stream.received < limit:
                data = await stream.receive()
                if not data or _feed(head, data):
                    return
    except (TimeoutError, OSError):
        return


def _feed(head: _Head, data: bytes) -> str:
    """What is wrong with it; empty: nothing so far."""
    try:
        head.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        return ""
    except httptools.HttpParserError as error:
        return "" if head.status else f"the answer is not HTTP/1: {error}"
    return ""


def _token(text: str) -> str:
    return "".join(character for character in text if "!" <= character <= "~")
