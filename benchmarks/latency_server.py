# SPDX-License-Identifier: Apache-2.0
"""An HTTP server whose answers take a continuous mix of times: `python -m benchmarks.latency_server
PORT SEED`. Answers until it is ended.

Four of five requests take some 12 ms, most others some 40, and one in fifty has a Pareto tail up
to two seconds: a service with a cache, a database behind it and the odd retry.
"""

import asyncio
import random
import sys

MIDDLE_S = 0.012
SLOWER_S = 0.040
TAIL_S = 0.100
CAP_S = 2.0
BODY = b"done\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


def delay(chance: random.Random) -> float:
    """Seconds until the first byte of an answer."""
    kind = chance.random()
    if kind < 0.80:
        return MIDDLE_S * chance.lognormvariate(0.0, 0.4)
    if kind < 0.98:
        return SLOWER_S * chance.lognormvariate(0.0, 0.6)
    return min(CAP_S, TAIL_S * chance.paretovariate(1.3))


class Connection(asyncio.Protocol):
    """One request after another; they fit one read."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            asyncio.get_running_loop().call_later(delay(self._chance), self._answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def _answer(self) -> None:
        if self._transport is not None:
            self._transport.write(ANSWER)


async def serve(port: int, seed: int) -> None:
    """Serves on a loopback port for good."""
    chance = random.Random(seed)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(chance), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
