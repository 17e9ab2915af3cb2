# SPDX-License-Identifier: Apache-2.0
"""Endpoints on loopback, well-behaved and hostile."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from ipaddress import ip_address

from undermesh.health.prober import Prober
from undermesh.model.health import Target, Verdict
from undermesh.model.service import Check, Probe, ServiceName, TcpCheck

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Endpoints:
    """Servers of one test. `seen` counts the connections of each port."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.requests: list[bytes] = []
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, handler: Handler, *, host: str = "127.0.0.1", port: int = 0) -> int:
        """A server that treats every connection so; its port."""

        async def accepted(reader, writer) -> None:
            task = asyncio.current_task()
            self._tasks.add(task)
            self.seen[number] = self.seen.get(number, 0) + 1
            try:
                with suppress(OSError, asyncio.IncompleteReadError):
                    await handler(reader, writer)
            finally:
                writer.close()
                self._tasks.discard(task)

        server = await asyncio.start_server(accepted, host, port)
        number = server.sockets[0].getsockname()[1]
        self._stack.callback(server.close)
        return number

    async def says(self, *pieces: bytes, pause: float = 0.0, host: str = "127.0.0.1") -> int:
        """An HTTP server that reads a request and answers with these pieces."""

        async def handler(reader, writer) -> None:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)

        return await self.serve(handler, host=host)

    async def close(self) -> None:
        """Ends all of them, connections included."""
        await self._stack.aclose()
        await asyncio.sleep(0.01)  # connections that were accepted and not begun
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close in the loop's next turn


async def silent(reader, writer) -> None:
    """Accepts and says nothing."""
    await reader.read()


async def reset(reader, writer) -> None:
    """Answers with a reset once it was asked."""
    await reader.read(1)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def target(port: int, *, host: str = "127.0.0.1", name: str = "cart", netns: int = 0) -> Target:
    return Target(ServiceName("default", name), ip_address(host), port, netns)


def check(probe: Probe | None = None, *, every: float = 0.05, within: float = 0.5, **more) -> Check:
    """A check in seconds."""
    return Check(
        probe=probe or TcpCheck(),
        interval=timedelta(seconds=every),
        timeout=timedelta(seconds=within),
        **more,
    )


async def until(told: Callable[[], object]) -> None:
    """Waits for a condition; the bound is that of the test."""
    while not told():  # noqa: ASYNC110 -- what is waited for happens in sockets and elsewhere
        await asyncio.sleep(0.005)


class Probing:
    """A running prober and what it reported."""

    def __init__(self, prober: Prober, reports: list[Verdict]) -> None:
        self.prober = prober
        self.reports = reports

    def aim(self, *targets: Target, at: Check, presumed=()) -> None:
        self.prober.set_targets(dict.fromkeys(targets, at), presumed=presumed)

    async def report(self, number: int) -> Verdict:
        """The n-th report, counted from 0."""
        await until(lambda: len(self.reports) > number)
        return self.reports[number]


@asynccontextmanager
async def probing(**more):
    """A prober for the length of the block."""
    reports: list[Verdict] = []
    prober = Prober(reports.append, **more)
    task = asyncio.create_task(prober.run())
    try:
        yield Probing(prober, reports)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
