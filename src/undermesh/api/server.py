# SPDX-License-Identifier: Apache-2.0
"""uvicorn inside the agent's own loop: on the unix socket, and on loopback TCP when asked."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from undermesh.api.access import Access, caller_of, group_id
from undermesh.api.door import CALLER, Door
from undermesh.api.routes import application
from undermesh.api.service import Service

_BACKLOG = 128
_GRACE_SECONDS = 2


class SocketRefused(OSError):
    """The API cannot listen where it was told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where to listen: the unix socket, and (address, port) on loopback or None."""

    path: Path
    tcp: tuple[str, int] | None


class _Protocol(HttpToolsProtocol):
    """One connection. Asks the kernel who is on a unix socket, once, when it is accepted."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection: socket.socket = transport.get_extra_info("socket")
        if connection.family != socket.AF_UNIX:
            return
        inner, caller = self.app, caller_of(connection)

        async def app(scope, receive, send):  # type: ignore[no-untyped-def]
            scope[CALLER] = caller
            await inner(scope, receive, send)

        self.app = app


class _Server(uvicorn.Server):
    """uvicorn takes SIGINT and SIGTERM for itself; here they are the agent's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiServer:
    """Listens from `open` on; `serve` answers until `close` is called."""

    def __init__(self, *, service: Service, access: Access, places: Places, version: str) -> None:
        self._service = service
        self._access = access
        self._places = places
        door = Door(application(service), access=access, version=version)
        self._server = _Server(
            uvicorn.Config(
                door,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._sockets: list[socket.socket] = []

    def open(self) -> None:
        """Binds. Raises SocketRefused."""
        self._sockets.append(_unix(self._places.path, self._access.group))
        if self._places.tcp is not None:
            self._sockets.append(_tcp(*self._places.tcp))

    async def serve(self) -> None:
        """Answers until `close`; then streams are ended and requests under way are finished."""
        try:
            await self._server.serve(sockets=self._sockets)
        finally:
            for one in self._sockets:
                one.close()
            self._places.path.unlink(missing_ok=True)

    @property
    def answering(self) -> bool:
        """Whether requests are being taken."""
        return bool(self._server.started)

    def close(self) -> None:
        """Asks `serve` to end."""
        self._service.ending.set()
        self._server.should_exit = True


def _unix(path: Path, group: str) -> socket.socket:
    """A listening socket, 0660 for `group` where it exists, else 0600 from the first moment on.

    What an agent before left at `path` is removed: the caller holds the instance's lock.
    """
    gid = group_id(group)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        if gid is not None:
            os.chown(path, -1, gid)
            path.chmod(0o660)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        answer = error.strerror or str(error)
        raise SocketRefused(
            f"listening on {path}: {answer}; is the directory there and writable? "
            "(agent.runtime_dir, api.socket)"
        ) from error
    listening.setblocking(False)
    return listening


def _tcp(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        answer = error.strerror or str(error)
        raise SocketRefused(f"listening on {address}:{port}: {answer}; see api.listen") from error
    listening.setblocking(False)
    return listening
