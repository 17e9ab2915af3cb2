# SPDX-License-Identifier: Apache-2.0
"""One end of a connection: `python -m benchmarks.fastpath.peer serve | call ADDRESS PORT`.

A server says its port and serves one connection: a request of 64 bytes is answered with 64 (both
are HTTP, so that requests are counted where counting is on), a stream (its length comes first) is
read to its end and answered with one block. A caller obeys lines on its stdin: `turns N` answers
with nanoseconds a round trip, `stream BYTES` with nanoseconds for all of it.
"""

import os
import socket
import sys
import time

BLOCK = 64
REQUEST = b"GET /64 HTTP/1.1\r\nHost: shop\r\nAccept: text/plain, image/jpeg\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n" + b"a" * 25
assert len(REQUEST) == len(ANSWER) == BLOCK
PIECE = 16384


def serve() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        print(door.getsockname()[1], flush=True)
        end, _ = door.accept()
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    fd = end.fileno()
    read, write = os.read, os.write
    while block := read(fd, PIECE):
        if block[0] == ord("s"):
            _swallow(fd, int(block[1:BLOCK]) - (len(block) - BLOCK))
        write(fd, ANSWER)


def _swallow(fd: int, left: int) -> None:
    room = memoryview(bytearray(1 << 18))
    while left > 0:
        left -= os.readv(fd, [room])


def call(address: str, port: int) -> None:
    with socket.create_connection((address, port)) as end:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print("connected", flush=True)
        for line in sys.stdin:
            word, number = line.split()
            took = _turns(end, int(number)) if word == "turns" else _stream(end, int(number))
            print(took, flush=True)


def _turns(end: socket.socket, count: int) -> float:
    fd = end.fileno()
    read, write = os.read, os.write
    began = time.perf_counter_ns()
    for _ in range(count):
        write(fd, REQUEST)
        read(fd, BLOCK)
    return (time.perf_counter_ns() - began) / count


def _stream(end: socket.socket, size: int) -> float:
    piece = bytes(PIECE)
    began = time.perf_counter_ns()
    end.sendall(f"s{size}".ljust(BLOCK).encode())
    for _ in range(size // PIECE):
        end.sendall(piece)
    end.recv(BLOCK, socket.MSG_WAITALL)
    return float(time.perf_counter_ns() - began)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        call(sys.argv[2], int(sys.argv[3]))
