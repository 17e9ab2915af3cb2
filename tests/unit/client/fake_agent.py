# SPDX-License-Identifier: Apache-2.0
"""An agent made of canned answers, on a real unix socket or loopback port: what `client` and the
commands are tested against."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

SINCE, UNTIL = "2026-11-22T12:00:00.000Z", "2026-11-22T12:00:10.000Z"


def edge(client: str, server: str, **fields: object) -> dict[str, object]:
    row: dict[str, object] = {
        "node": "n1",
        "client": client,
        "client_namespace": "default",
        "server": server,
        "server_namespace": "default",
        "port": 8080,
        "protocol": "http",
        "requests": 100,
        "errors": 0,
        "rate": 10.0,
        "p50_ms": 1.5,
        "p90_ms": 3.0,
        "p99_ms": 9.0,
        "rx_bytes": 20480,
        "tx_bytes": 10240,
        "rtt_us": 42.0,
        "connections": 3,
        "open": 3,
    }
    return {**row, **fields}


def shop() -> list[dict[str, object]]:
    """The edges of a small shop, busiest entry first."""
    return [
        edge("load", "edge", port=8080, requests=4000, rate=400.0, errors=40, p99_ms=38.2),
        edge("edge", "catalog", port=9001, requests=2000, rate=200.0),
        edge("edge", "cart", port=9002, requests=1000, rate=100.0),
        edge("edge", "checkout", port=9003, requests=400, rate=40.0, errors=20, p99_ms=1250.0),
        edge("cart", "catalog", port=9001, requests=900, rate=90.0),
        edge("checkout", "cart", port=9002, requests=400, rate=40.0),
        edge("checkout", "payment", port=9004, requests=400, rate=40.0, errors=20),
        edge(
            "catalog",
            "redis",
            port=6379,
            protocol="tcp",
            requests=0,
            rate=0.4,
            p50_ms=None,
            p90_ms=None,
            p99_ms=None,
            rx_bytes=4_000_000,
        ),
        edge(
            "cart",
            "redis",
            port=6379,
            protocol="tcp",
            requests=0,
            rate=0.2,
            p50_ms=None,
            p90_ms=None,
            p99_ms=None,
            rx_bytes=2_000_000,
        ),
    ]


@dataclass(slots=True)
class Answer:
    """One answer: a JSON document, NDJSON lines, or raw bytes."""

    body: object = None
    status: int = 200
    lines: list[object] | None = None
    raw: bytes | None = None


@dataclass(slots=True)
class FakeAgent:
    """Answers by (method, path); keeps what it was asked."""

    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    close_after_answer: bool = False
    target: str = ""

    def put(self, path: str, body: object, *, method: str = "GET", status: int = 200) -> None:
        self.answers[method, path] = Answer(body=body, status=status)

    def put_edges(self, rows: list[dict[str, object]]) -> None:
        self.put("/v1/edges", {"schema": 1, "since": SINCE, "until": UNTIL, "edges": rows})
        names = sorted({str(r[k]) for r in rows for k in ("client", "server")})
        nodes = [
            {"id": f"default/{n}", "node": "n1", "namespace": "default", "name": n, "kind": "run"}
            for n in names
        ]
        graph = {"schema": 1, "since": SINCE, "until": UNTIL, "nodes": nodes, "edges": rows}
        self.put("/v1/graph", graph)

    def put_status(self, **fields: object) -> None:
        body = {"schema": 1, "version": "0.1.0", "node": "n1", "instance": "default", "pid": 4711}
        self.put("/v1/status", {**body, **fields})


class Handler(BaseHTTPRequestHandler):
    """Answers for the `FakeAgent` of its server."""

    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *args: object) -> None:
        return

    def do_GET(self) -> None:
        agent = self.server.agent  # type: ignore[attr-defined]
        split = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        agent.asked.append((self.command, split.path, dict(parse_qsl(split.query)), body))
        agent.headers.append(dict(self.headers.items()))
        answer = agent.answers.get((self.command, split.path))
        if answer is None:
            answer = Answer(body={"title": "Not Found", "status": 404}, status=404)
        self.send(answer)
        self.close_connection = agent.close_after_answer

    do_POST = do_DELETE = do_GET  # noqa: N815

    def send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        if answer.lines is None:
            payload = answer.raw if answer.raw is not None else _encode(answer)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in answer.lines:
            text = (line if isinstance(line, str) else json.dumps(line)) + "\n"
            self.wfile.write(f"{len(text.encode()):x}\r\n{text}\r\n".encode())
        self.wfile.write(b"0\r\n\r\n")


class Quiet:
    """A client that ended in the middle of an answer is no news."""

    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        return


class UnixServer(Quiet, socketserver.ThreadingUnixStreamServer):
    pass


class TcpServer(Quiet, socketserver.ThreadingTCPServer):
    pass


@contextmanager
def serving(agent: FakeAgent, *, socket: Path | None = None) -> Iterator[FakeAgent]:
    """`agent` on a unix socket, or (None) on a free loopback port named in `target`."""
    server: UnixServer | TcpServer
    if socket is not None:
        server = UnixServer(str(socket), Handler)
        agent.target = str(socket)
    else:
        server = TcpServer(("127.0.0.1", 0), Handler)
        agent.target = f"127.0.0.1:{server.server_address[1]}"
    server.agent = agent  # type: ignore[union-attr]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield agent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        if socket is not None:
            socket.unlink(missing_ok=True)


def _encode(answer: Answer) -> bytes:
    return b"" if answer.status == 204 else json.dumps(answer.body).encode()
