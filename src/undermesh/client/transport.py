# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 to an agent, over its unix socket or over loopback TCP with a bearer token."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from undermesh.client.errors import AgentUnreachable, AnswerUnreadable, RequestRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixTarget:
    """An agent's unix socket."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpTarget:
    """An agent's loopback listener; every request carries `token`."""

    host: str
    port: int
    token: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"TcpTarget({self.host}:{self.port}, token=***)"


Target = UnixTarget | TcpTarget


class _UnixConnection(http.client.HTTPConnection):
    """`http.client` on an AF_UNIX socket."""

    def __init__(self, path: Path, *, timeout: float | None) -> None:
        super().__init__("undermesh", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(str(self._path))
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class Transport:
    """One keep-alive connection for questions; every stream gets a connection of its own.

    Not safe for use by several threads at once. A connection the agent closed between two
    questions is opened again once, and only for requests that may be repeated (GET).
    """

    def __init__(self, *, target: Target, timeout: float) -> None:
        self.target = target
        self.timeout = timeout
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> bytes:
        """One question, the body of its answer (JSON, or empty)."""
        reused = self._connection is not None
        try:
            return self._ask_once(method, path, query or {}, body)
        except AgentUnreachable as error:
            if not (reused and method == "GET" and error.reason != "it did not answer in time"):
                raise
        return self._ask_once(method, path, query or {}, body)

    def stream(self, path: str, *, query: Mapping[str, str]) -> Iterator[bytes]:
        """The lines of an NDJSON stream, until the agent ends it (`AgentUnreachable`). Blank
        lines, which agents send to keep a connection alive, are left out."""
        connection = self._open(timeout=self.timeout)
        try:
            response = self._exchange(connection, "GET", path, query, None)
            if response.status >= 400:
                raise _refusal(response.status, response.read())
            if connection.sock is not None:
                connection.sock.settimeout(None)
            yield from self._lines(response)
        finally:
            connection.close()

    def _lines(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        while True:
            try:
                line = response.readline()
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error
            if not line:
                raise AgentUnreachable(
                    target=str(self.target),
                    reason="it ended the stream",
                    hint="see whether it still runs with `undermesh status`",
                )
            if line.strip():
                yield line

    def _ask_once(
        self, method: str, path: str, query: Mapping[str, str], body: bytes | None
    ) -> bytes:
        connection = self._connection or self._open(timeout=self.timeout)
        self._connection = connection
        try:
            response = self._exchange(connection, method, path, query, body)
            payload = self._read(response)
        except BaseException:
            self.close()
            raise
        if response.status >= 400:
            raise _refusal(response.status, payload)
        return payload

    def _open(self, *, timeout: float | None) -> http.client.HTTPConnection:
        match self.target:
            case UnixTarget(path=path):
                return _UnixConnection(path, timeout=timeout)
            case TcpTarget(host=host, port=port):
                return http.client.HTTPConnection(host, port, timeout=timeout)

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
    ) -> http.client.HTTPResponse:
        headers = {"Accept": "application/json"}
        if isinstance(self.target, TcpTarget):
            headers["Authorization"] = f"Bearer {self.target.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = f"{path}?{urlencode(query, quote_via=quote)}" if query else path
        try:
            connection.request(method, url, body=body, headers=headers)
            return connection.getresponse()
        except http.client.BadStatusLine as error:
            if isinstance(error, http.client.RemoteDisconnected):
                raise self._unreachable(error) from error
            raise AnswerUnreadable(target=str(self.target), what="not in HTTP") from error
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> AgentUnreachable:
        reason, hint = _explain(error, self.target)
        return AgentUnreachable(target=str(self.target), reason=reason, hint=hint)


_START = "start one with `sudo undermesh up --detach`, or name another with --instance or --socket"


def _explain(error: Exception, target: Target) -> tuple[str, str]:
    """(what happened, what to do) for an error of connect, send or receive."""
    unix = isinstance(target, UnixTarget)
    match error:
        case FileNotFoundError():
            return "there is no such socket", _START
        case ConnectionRefusedError() if unix:
            return "nobody listens on it, its agent died or is still starting", _START
        case ConnectionRefusedError():
            return "connection refused", "start the agent with --listen, or use its unix socket"
        case PermissionError():
            return (
                "this user may not open it",
                "run as root (sudo), or join the group the agent lets read",
            )
        case TimeoutError():
            return "it did not answer in time", "see what it does with `undermesh status`"
        case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
            return "it closed the connection", "see whether it still runs with `undermesh status`"
        case http.client.IncompleteRead():
            return "it stopped in the middle of its answer", "see its log"
        case OSError() if error.strerror:
            return error.strerror, _START
        case _:
            return str(error) or type(error).__name__, _START


def _refusal(status: int, payload: bytes) -> RequestRefused:
    """problem+json when it is that; a bare status otherwise."""
    title = http.client.responses.get(status, "")
    try:
        problem = json.loads(payload)
    except ValueError:
        return RequestRefused(status=status, title=title)
    if not isinstance(problem, dict):
        return RequestRefused(status=status, title=title)
    diagnostics = problem.get("diagnostics")
    return RequestRefused(
        status=status,
        title=str(problem.get("title") or title),
        detail=str(problem.get("detail") or ""),
        diagnostics=tuple(_sentence(entry) for entry in diagnostics)
        if isinstance(diagnostics, list)
        else (),
        payload=payload,
    )


def _sentence(entry: object) -> str:
    """A diagnostic as `file:line:column: field: message; allowed`."""
    if not isinstance(entry, dict):
        return str(entry)
    where = ":".join(str(entry[key]) for key in ("file", "line", "column") if entry.get(key))
    field = str(entry.get("field") or "")
    message = str(entry.get("message") or "")
    text = ": ".join(part for part in (where, field, message) if part)
    allowed = entry.get("allowed")
    many = ", ".join(map(str, allowed)) if isinstance(allowed, list) else ""
    return f"{text}; {many}" if many else text
