# SPDX-License-Identifier: Apache-2.0
"""Those who meet on the slow link: a service, who asks it, who sends in bulk, who takes that.

python -m benchmarks.priority.peers serve | ask SECONDS | fill | sink

`ask` prints the time each answer took, in milliseconds, one a line. Standard library only.
"""

import socket
import sys
import threading
import time
from collections.abc import Callable

NEAR, FAR = "10.98.1.1", "10.98.2.1"
SERVICE_PORT, BULK_PORT = 7000, 7001
ANSWER_BYTES = 16_000
ASKED_EVERY_S = 0.02
FLOWS = 4


def serve() -> None:
    """Answers every byte with ANSWER_BYTES."""
    answer = b"x" * ANSWER_BYTES

    def one(end: socket.socket) -> None:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while end.recv(1):
            end.sendall(answer)

    _accept(NEAR, SERVICE_PORT, one)


def sink() -> None:
    """Takes whatever comes."""

    def one(end: socket.socket) -> None:
        while end.recv(1 << 20):
            pass

    _accept(FAR, BULK_PORT, one)


def fill() -> None:
    """Sends as fast as it goes, on FLOWS connections."""
    piece = b"y" * (1 << 18)

    def one() -> None:
        with socket.create_connection((FAR, BULK_PORT)) as end:
            while True:
                end.sendall(piece)

    threads = [threading.Thread(target=one, daemon=True) for _ in range(FLOWS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def ask(seconds: float) -> None:
    """Asks at a steady pace, on one connection; what is late is not asked twice."""
    took = []
    with socket.create_connection((NEAR, SERVICE_PORT)) as end:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until = time.perf_counter() + seconds
        due = time.perf_counter()
        while due < until:
            time.sleep(max(0.0, due - time.perf_counter()))
            began = time.perf_counter()
            end.sendall(b"?")
            left = ANSWER_BYTES
            while left:
                left -= len(end.recv(left))
            ended = time.perf_counter()
            took.append(ended - began)
            due = max(due + ASKED_EVERY_S, ended)
    print("\n".join(f"{one * 1000:.4f}" for one in took))


def _accept(address: str, port: int, one: Callable[[socket.socket], None]) -> None:
    with socket.create_server((address, port)) as door:
        while True:
            end, _ = door.accept()
            threading.Thread(target=one, args=(end,), daemon=True).start()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            serve()
        case ["fill"]:
            fill()
        case ["sink"]:
            sink()
        case ["ask", seconds]:
            ask(float(seconds))
        case _:
            sys.exit("serve | ask SECONDS | fill | sink")
