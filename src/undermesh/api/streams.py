# SPDX-License-Identifier: Apache-2.0
"""Lists that go on: newline-delimited JSON, one row a line."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import msgspec
from starlette.responses import StreamingResponse

from undermesh.app.feed import Feed
from undermesh.telemetry.growth import Structured

MEDIA_TYPE = "application/x-ndjson"
KEEP_ALIVE_SECONDS = 15.0


class EndOfStream(Exception):
    """A stream that cannot go on says `line` and ends."""

    def __init__(self, line: bytes) -> None:
        super().__init__(line)
        self.line = line


Rows = Iterable[msgspec.Struct]


def response(lines: AsyncIterator[bytes]) -> StreamingResponse:
    """A stream as a response; proxies are asked not to hold it back."""
    return StreamingResponse(
        lines,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def following(
    feed: Feed, rows: Callable[[Structured], Rows], ending: asyncio.Event
) -> AsyncIterator[bytes]:
    """Rows of every batch the feed publishes, until `ending`. A blank line every 15 s keeps the
    connection alive; {"dropped": N} says how many records a slow reader missed."""
    woken = asyncio.Event()
    subscription = feed.follow(woken.set)
    try:
        yield b"\n"
        while not ending.is_set():
            if not await _either(woken, ending, KEEP_ALIVE_SECONDS):
                yield b"\n"
                continue
            woken.clear()
            dropped = subscription.take_dropped()
            if dropped:
                yield msgspec.json.encode({"dropped": dropped}) + b"\n"
            for batch in subscription.take():
                block = _lines(rows(batch))
                if block:
                    yield block
    finally:
        feed.leave(subscription)


async def polling(
    rows: Callable[[], Rows], ending: asyncio.Event, *, seconds: float = 1.0
) -> AsyncIterator[bytes]:
    """Rows asked for again and again, until `ending`."""
    never = asyncio.Event()
    silent = 0.0
    yield b"\n"
    while not ending.is_set():
        block = _lines(rows())
        silent = 0.0 if block else silent + seconds
        if not block and silent >= KEEP_ALIVE_SECONDS:
            block, silent = b"\n", 0.0
        if block:
            yield block
        await _either(never, ending, seconds)


async def woken(
    follow: Callable[[Callable[[], None]], Callable[[], None]],
    lines: Callable[[], bytes],
    ending: asyncio.Event,
) -> AsyncIterator[bytes]:
    """`lines` asked for at first, and again whenever `follow` wakes us (from whichever thread),
    until `ending`, or until `lines` raises EndOfStream, whose last words are sent."""
    loop = asyncio.get_running_loop()
    moved = asyncio.Event()
    moved.set()

    def wake() -> None:
        loop.call_soon_threadsafe(moved.set)

    leave = follow(wake)
    try:
        yield b"\n"
        while not ending.is_set():
            if not await _either(moved, ending, KEEP_ALIVE_SECONDS):
                yield b"\n"
                continue
            moved.clear()
            block = lines()
            if block:
                yield block
    except EndOfStream as end:
        yield end.line
    finally:
        leave()


async def _either(one: asyncio.Event, other: asyncio.Event, seconds: float) -> bool:
    """Waits for either event; False when neither came in time."""
    waiting = [asyncio.ensure_future(one.wait()), asyncio.ensure_future(other.wait())]
    try:
        done, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for task in waiting:
            task.cancel()


def _lines(rows: Rows) -> bytes:
    encoder = msgspec.json.Encoder()
    return b"".join(encoder.encode(row) + b"\n" for row in rows)
