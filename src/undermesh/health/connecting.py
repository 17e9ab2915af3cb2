# SPDX-License-Identifier: Apache-2.0
"""A TCP connection to an endpoint, here or in another network namespace, and bytes over it.

Sockets are used bare: no transport reads ahead, so nothing arrives that was not asked for, and an
endpoint that sends without end fills its own buffers.
"""

import asyncio
import errno
import functools
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from undermesh.model.service import ANY_NETNS, Address, Netns

ConnectIn: TypeAlias = Callable[[Netns, socket.AddressFamily], socket.socket]
"""A new stream socket made in that network namespace, from where it may be used anywhere. Called
in a thread, since it may have to wait. OSError: the namespace is gone, or cannot be entered."""

RECEIVE = 16384

_NETNS_COOKIE = (socket.SOL_SOCKET, 71)

# The host ran out of something, or has no such address family: nothing is known of the endpoint.
_OURS = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
    }
)


class NotConnected(Exception):
    """The endpoint did not take the connection; the text says what came instead."""


class Unable(Exception):
    """This host could not try."""


class Stream:
    """One connection. Lives as long as the `opened` block it came from. `received` counts bytes."""

    def __init__(self, sock: socket.socket) -> None:
        self.received = 0
        self._socket = sock
        self._loop = asyncio.get_running_loop()

    async def receive(self) -> bytes:
        """What has arrived, up to 16 KiB; empty when the endpoint closed its side."""
        data = await self._loop.sock_recv(self._socket, RECEIVE)
        self.received += len(data)
        return data

    async def send(self, data: bytes) -> None:
        """All of it."""
        await self._loop.sock_sendall(self._socket, data)


@asynccontextmanager
async def opened(
    address: Address, port: int, netns: Netns, *, connect_in: ConnectIn | None
) -> AsyncIterator[Stream]:
    """A connection for the length of the block. Raises NotConnected and Unable."""
    sock = await _socket(address, netns, connect_in)
    try:
        await _connect(sock, (str(address), port))
        yield Stream(sock)
    finally:
        sock.close()


async def _socket(address: Address, netns: Netns, connect_in: ConnectIn | None) -> socket.socket:
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        if netns in (ANY_NETNS, _own_netns()):
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        elif connect_in is None:
            raise Unable(f"nobody here can enter network namespace {netns}")
        else:
            sock = await _made_elsewhere(connect_in, netns, family)
    except OSError as error:
        if netns != ANY_NETNS and error.errno not in _OURS:
            raise NotConnected(f"network namespace {netns} is gone: {_text(error.errno)}") from None
        raise Unable(f"opening a socket: {_text(error.errno)}") from error
    sock.setblocking(False)
    return sock


@functools.cache
def _own_netns() -> Netns:
    """The cookie of this process's own network namespace; 0 before Linux 5.14."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            return Netns(int.from_bytes(any_socket.getsockopt(*_NETNS_COOKIE, 8), sys.byteorder))
        except OSError:
            return ANY_NETNS


async def _made_elsewhere(
    connect_in: ConnectIn, netns: Netns, family: socket.AddressFamily
) -> socket.socket:
    """The socket a thread makes; closed there when nobody waits for it any more."""
    making = asyncio.get_running_loop().run_in_executor(None, connect_in, netns, family)
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        making.add_done_callback(_dispose)
        raise


def _dispose(making: "asyncio.Future[socket.socket]") -> None:
    if not making.cancelled() and making.exception() is None:
        making.result().close()


async def _connect(sock: socket.socket, place: tuple[str, int]) -> None:
    code = sock.connect_ex(place)
    if code == errno.EINPROGRESS:
        # On this host the answer is there before the first call returns: the second one says so,
        # and no poll is needed.
        code = sock.connect_ex(place)
    if code == errno.EALREADY:
        await _writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code in _OURS:
        raise Unable(f"connecting: {_text(code)}")
    if code:
        raise NotConnected(_text(code))
    # A closed port that lies in the range of outgoing ports may be drawn as the source: TCP then
    # connects the socket to itself, and nobody listens at all.
    if sock.getsockname() == sock.getpeername():
        raise NotConnected(_text(errno.ECONNREFUSED))


async def _writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.add_writer(sock, _settle, done)
    try:
        await done
    finally:
        loop.remove_writer(sock)


def _settle(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)


def _text(code: int | None) -> str:
    """What the kernel answered, in the words everybody knows."""
    return os.strerror(code).lower() if code else "no reason given"
