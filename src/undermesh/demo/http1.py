# SPDX-License-Identifier: Apache-2.0
"""Just enough HTTP/1.1 (RFC 9112) for the shop: keep-alive, Content-Length bodies, asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_REASONS = {200: "OK", 404: "Not Found", 500: "Internal Server Error", 502: "Bad Gateway"}


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""


Handler = Callable[[Request], Awaitable[Response]]


async def serve(port: int, handler: Handler) -> asyncio.Server:
    """A server on loopback `port`."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await _read_request(reader)
                response = await handler(request)
                reason = _REASONS.get(response.status, "Unknown")
                head = (
                    f"HTTP/1.1 {response.status} {reason}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(response.body)}\r\n\r\n"
                )
                writer.write(head.encode() + response.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done
        finally:
            writer.close()

    return await asyncio.start_server(connected, "127.0.0.1", port, backlog=512)


class Connection:
    """One connection of a client, opened on first use and again after the server closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, body: bytes = b"") -> Response:
        """One exchange. Raises ConnectionError or IncompleteReadError when it was cut."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: shop\r\n{length}\r\n"
        try:
            writer.write(head.encode() + body)
            await writer.drain()
            start, fields = await _read_head(reader)
            answer = await reader.readexactly(int(fields.get("content-length", "0")))
        except BaseException:
            self.close()
            raise
        if fields.get("connection", "").lower() == "close":
            self.close()
        return Response(int(start.split(" ", 2)[1]), answer)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Pool:
    """Kept connections to one server: as many as there are requests at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def request(self, method: str, path: str, body: bytes = b"") -> Response:
        connection = self._idle.pop() if self._idle else Connection(self._port)
        response = await connection.request(method, path, body)
        self._idle.append(connection)
        return response


async def _read_request(reader: asyncio.StreamReader) -> Request:
    start, fields = await _read_head(reader)
    method, path, _ = start.split(" ", 2)
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    return Request(method, path, body)


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, *lines = head[:-4].split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return start, {name.strip().lower(): value.strip() for name, _, value in pairs}
