# SPDX-License-Identifier: Apache-2.0
"""The shop's customers: `python -m undermesh.demo.load PORT RATE`.

Sends a fixed mix of requests at a steady rate over kept connections until SIGTERM, then waits for
what is still unanswered and prints one JSON object: what was sent, what was answered, how fast.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from undermesh.demo.http1 import Connection

CONNECTIONS = 16
PATIENCE_SECONDS = 10.0
LATE_SECONDS = 1.0

# 20 requests, over and over: the shares are exact.
MIX: tuple[tuple[str, str, bytes], ...] = (
    *(("GET", f"/api/products/{i}?page={i}", b"") for i in range(8)),
    *(("GET", "/", b"") for _ in range(4)),
    *(("GET", "/api/cart", b"") for _ in range(2)),
    *(("POST", "/api/cart", b'{"product": 1}') for _ in range(2)),
    *(("POST", "/api/checkout", b'{"cart": 1}') for _ in range(2)),
    *(("GET", "/api/recommendations", b"") for _ in range(2)),
)


@dataclass(slots=True)
class Report:
    """What the generator itself saw."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)

    def as_json(self) -> str:
        ordered = sorted(self.latencies_s)
        return json.dumps(
            {
                "sent": self.sent,
                "answered": self.answered,
                "failed": self.failed,
                "by_status": {str(status): n for status, n in sorted(self.by_status.items())},
                "p50_ms": percentile_ms(ordered, 0.50),
                "p90_ms": percentile_ms(ordered, 0.90),
                "p99_ms": percentile_ms(ordered, 0.99),
            }
        )


def percentile_ms(ordered_s: list[float], share: float) -> float | None:
    """Nearest-rank percentile of ascending seconds, in ms; None of nothing."""
    if not ordered_s:
        return None
    rank = max(1, -(-len(ordered_s) * round(share * 1000) // 1000))
    return round(ordered_s[rank - 1] * 1000, 3)


async def generate(port: int, rate: float, stop: asyncio.Event) -> Report:
    """Sends until `stop`; every connection keeps its own share of the pace."""
    report = Report()
    mix = itertools.cycle(MIX)
    customers = [
        asyncio.create_task(_customer(Connection(port), i, rate, mix, stop, report))
        for i in range(CONNECTIONS)
    ]
    await stop.wait()
    _, late = await asyncio.wait(customers, timeout=PATIENCE_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    report.failed += len(late)
    return report


async def _customer(
    connection: Connection,
    number: int,
    rate: float,
    mix: itertools.cycle[tuple[str, str, bytes]],
    stop: asyncio.Event,
    report: Report,
) -> None:
    """One connection: a request every CONNECTIONS / rate seconds. What a slow answer delayed is
    made up for, unless it is more than LATE_SECONDS of requests."""
    pause = CONNECTIONS / rate
    due = time.monotonic() + pause * number / CONNECTIONS
    while not await _stopped(stop, due - time.monotonic()):
        await _exchange(connection, next(mix), report)
        due = max(due + pause, time.monotonic() - LATE_SECONDS)
    connection.close()


async def _exchange(
    connection: Connection, request: tuple[str, str, bytes], report: Report
) -> None:
    report.sent += 1
    began = time.perf_counter()
    try:
        response = await connection.request(*request)
    except (ConnectionError, asyncio.IncompleteReadError):
        report.failed += 1
        return
    report.latencies_s.append(time.perf_counter() - began)
    report.answered += 1
    report.by_status[response.status] += 1


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    """Waits for `seconds`, or until told to stop."""
    if seconds > 0 and not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
    return stop.is_set()


async def _main(port: int, rate: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    report = await generate(port, rate, stop)
    print(report.as_json(), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), float(sys.argv[2])))
