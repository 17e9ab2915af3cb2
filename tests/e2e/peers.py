# SPDX-License-Identifier: Apache-2.0
"""Servers and clients that do what no packaged one can be told to. Standard library only.

python3 peers.py NAME ARGUMENTS…
"""

import http.client
import http.server
import socket
import struct
import sys
import time
from collections.abc import Callable


def _listen(address: str, port: int) -> socket.socket:
    server = socket.create_server((address, port), backlog=128)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def closer(port: str) -> None:
    """Reads what it is asked and closes without a word."""
    server = _listen("127.0.0.1", int(port))
    while True:
        connection, _ = server.accept()
        connection.recv(65536)
        connection.close()


def resetter(port: str) -> None:
    """Reads what it is asked and resets the connection."""
    server = _listen("127.0.0.1", int(port))
    while True:
        connection, _ = server.accept()
        connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


def echo(port: str, address: str = "127.0.0.1") -> None:
    """Sends back what it gets, one connection at a time: no HTTP."""
    server = _listen(address, int(port))
    while True:
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)


class _Handler(http.server.BaseHTTPRequestHandler):
    """HTTP/1.0 whose answers end with the connection; /slow takes 200 ms."""

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(0.2)
        self.send_response(200)
        self.end_headers()
        for _ in range(4):
            self.wfile.write(b"x" * 1000)
            self.wfile.flush()

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


def plain(port: str, address: str = "127.0.0.1") -> None:
    """An HTTP/1.0 server without lengths."""
    http.server.ThreadingHTTPServer((address, int(port)), _Handler).serve_forever()


def nameserver(address: str, name: str, answer: str) -> None:
    """A DNS server that knows one name, and that others do not exist (RFC 1035)."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    known = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    while True:
        query, who = server.recvfrom(512)
        end = query.index(b"\0", 12) + 5
        question, kind = query[12:end], query[end - 4 : end - 2]
        found = question[:-4].lower() == known
        has_answer = found and kind == b"\0\1"
        head = query[:2] + (b"\x85\x80" if found else b"\x85\x83") + b"\0\1"
        head += (b"\0\1" if has_answer else b"\0\0") + b"\0\0\0\0"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(answer)
        server.sendto(head + question + (record if has_answer else b""), who)


def keeper(host: str, port: str) -> None:
    """Keeps one connection. Asks once for every line it reads, and says the status."""
    connection = http.client.HTTPConnection(host, int(port))
    for line in sys.stdin:
        connection.request("GET", line.strip() or "/")
        answer = connection.getresponse()
        answer.read()
        print(answer.status, flush=True)


ROLES: dict[str, Callable[..., None]] = {
    role.__name__: role for role in (closer, resetter, echo, plain, nameserver, keeper)
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
