# SPDX-License-Identifier: Apache-2.0
"""The shop's services and its load generator, together on loopback, in one event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from undermesh.demo import http1, load, services
from undermesh.demo.http1 import Connection, Pool, Request, Response


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@asynccontextmanager
async def served(name: str, peers: Mapping[str, int]) -> AsyncIterator[int]:
    port = free_port()
    server = await http1.serve(port, services.SERVICES[name](peers))
    try:
        yield port
    finally:
        server.close()


@asynccontextmanager
async def redis() -> AsyncIterator[int]:
    """A server that knows GET, SET and INCR, as Redis answers them."""
    store: dict[str, str] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                words = []
                for _ in range(int((await reader.readline())[1:])):
                    size = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(size + 2))[:-2].decode())
                writer.write(answer(words))
        except (ValueError, asyncio.IncompleteReadError):
            writer.close()

    def answer(words: list[str]) -> bytes:
        match words:
            case ["SET", key, value]:
                store[key] = value
                return b"+OK\r\n"
            case ["GET", key]:
                value = store.get(key)
                return b"$-1\r\n" if value is None else f"${len(value)}\r\n{value}\r\n".encode()
            case ["INCR", key]:
                store[key] = str(int(store.get(key, "0")) + 1)
                return f":{store[key]}\r\n".encode()
            case _:
                return b"-ERR unknown command\r\n"

    port = free_port()
    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        yield port
    finally:
        server.close()


async def test_payment_fails_exactly_every_20th() -> None:
    async with served("payment", {}) as port:
        pool = Pool(port)
        statuses = [(await pool.request("POST", "/", b"{}")).status for _ in range(60)]
    assert [i + 1 for i, status in enumerate(statuses) if status == 500] == [20, 40, 60]
    assert statuses.count(200) == 57


async def test_checkout_says_502_when_payment_fails() -> None:
    async with (
        redis() as store,
        served("catalog", {"redis": store}) as catalog,
        served("cart", {"redis": store, "catalog": catalog}) as cart,
        served("payment", {}) as payment,
        served("checkout", {"cart": cart, "payment": payment}) as checkout,
    ):
        pool = Pool(checkout)
        statuses = [(await pool.request("POST", "/", b"{}")).status for _ in range(20)]
        added = await Pool(cart).request("POST", "/", b"{}")
    assert statuses == [200] * 19 + [502]
    assert added.body == b'{"items": 1}'


async def test_catalog_keeps_products_in_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    async with redis() as store, served("catalog", {"redis": store}) as catalog:
        pool = Pool(catalog)
        answers = [await pool.request("GET", "/api/products/1") for _ in range(5)]
    assert all(answer.status == 200 and b"Thing" in answer.body for answer in answers)


async def run_load(handler: http1.Handler, *, seconds: float, rate: float) -> load.Report:
    port = free_port()
    server = await http1.serve(port, handler)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    try:
        return await load.generate(port, rate, stop)
    finally:
        server.close()


async def test_generator_waits_for_every_answer() -> None:
    served_requests: list[str] = []

    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.2)
        served_requests.append(request.path)
        return Response(503 if request.path == "/" else 200)

    report = await run_load(slow, seconds=0.3, rate=100)
    assert report.sent == report.answered == len(served_requests) > 0
    assert report.by_status.total() == report.answered
    assert min(report.latencies_s) >= 0.2


async def test_generator_counts_what_was_cut() -> None:
    async def broken(request: Request) -> Response:
        raise ConnectionResetError

    report = await run_load(broken, seconds=0.2, rate=100)
    assert report.failed == report.sent > 0
    assert report.answered == 0


async def test_connection_closed_by_the_server_is_opened_again() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    port = free_port()
    server = await asyncio.start_server(once, "127.0.0.1", port)
    connection = Connection(port)
    answers = [await connection.request("GET", "/") for _ in range(3)]
    server.close()
    assert [answer.body for answer in answers] == [b"ok"] * 3


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50.0), (0.9, 90.0), (0.99, 99.0), (1.0, 100.0)]
)
def test_percentiles_are_nearest_rank(share: float, expected: float) -> None:
    assert load.percentile_ms([i / 1000 for i in range(1, 101)], share) == expected


def test_percentile_of_nothing_is_none() -> None:
    assert load.percentile_ms([], 0.5) is None
