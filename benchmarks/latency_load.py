# SPDX-License-Identifier: Apache-2.0
"""An open-loop load generator that keeps every latency: `python -m benchmarks.latency_load PORT
RATE SECONDS SEED`, then JSON on stdout.

Requests begin at random, independent moments (a Poisson process), however long earlier ones take;
each takes an idle kept connection or opens one. A latency is taken as close to the socket as a
program can: from the clock read just before send(2) to the clock read just after the recv(2) that
brought the first byte. One plain epoll loop, no framework: nothing between the kernel's word that
an answer is there and recv(2) but the answers that came at the same moment. The kernel's own time
stamp of the answer's arrival (SO_TIMESTAMPNS) is kept beside it, and shows how late the loop was.
"""

import gc
import json
import random
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field

from benchmarks.latency_server import BODY

REQUEST = b"GET /mix HTTP/1.1\r\nHost: bench\r\n\r\n"
SO_TIMESTAMPNS = 35  # asm-generic/socket.h
PATIENCE_S = 15.0


@dataclass(slots=True)
class Latencies:
    """In ns, in the order of the answers. `kernel` is 0 where no time stamp came."""

    program: list[int] = field(default_factory=list)
    kernel: list[int] = field(default_factory=list)
    unanswered: int = 0
    connections: int = 0
    seconds: float = 0.0


class Generator:
    """The loop, its idle connections and those that wait for an answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._idle: list[socket.socket] = []
        self._waiting: dict[int, tuple[socket.socket, int, int]] = {}
        self.found = Latencies()

    def run(self, rate: float, seconds: float, seed: int) -> Latencies:
        """Sends for `seconds`, then waits for what is unanswered."""
        chance = random.Random(seed)
        began = due = time.monotonic()
        until = began + seconds
        while due < until:
            now = time.monotonic()
            if due <= now:
                self._send()
                due += chance.expovariate(rate)
            else:
                self._receive(due - now)
        self.found.seconds = time.monotonic() - began
        patience = time.monotonic() + PATIENCE_S
        while self._waiting and time.monotonic() < patience:
            self._receive(0.1)
        self.found.unanswered = len(self._waiting)
        return self.found

    def _send(self) -> None:
        connection = self._idle.pop() if self._idle else self._open()
        stamp, began = time.clock_gettime_ns(time.CLOCK_REALTIME), time.perf_counter_ns()
        connection.send(REQUEST)
        self._waiting[connection.fileno()] = (connection, began, stamp)

    def _receive(self, seconds: float) -> None:
        for number, _ in self._epoll.poll(seconds):
            connection, began, stamp = self._waiting.pop(number)
            data, extra, _, _ = connection.recvmsg(4096, 64)
            ended = time.perf_counter_ns()
            while not data.endswith(BODY):
                more = connection.recv(4096)
                if not more:
                    raise ConnectionError("the server closed a connection in the middle")
                data += more
            self.found.program.append(ended - began)
            self.found.kernel.append(_stamped(extra) - stamp if extra else 0)
            self._idle.append(connection)

    def _open(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._epoll.register(connection.fileno(), select.EPOLLIN)
        self.found.connections += 1
        return connection


def _stamped(extra: list[tuple[int, int, bytes]]) -> int:
    """The time in a SO_TIMESTAMPNS message, ns since the epoch."""
    seconds, nanoseconds = struct.unpack("qq", extra[0][2][:16])
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def main(port: int, rate: float, seconds: float, seed: int) -> None:
    gc.disable()  # a pause of ours would be taken for the server's
    found = Generator(port).run(rate, seconds, seed)
    json.dump({name: getattr(found, name) for name in Latencies.__slots__}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
