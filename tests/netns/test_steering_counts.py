# SPDX-License-Identifier: Apache-2.0
"""Connections open with a backend: one each while it is open, none left whatever ends it."""

import contextlib
import errno
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.netns.hosts import Host, new_port
from tests.netns.seeing import eventually
from tests.netns.services import Services, vip
from tests.netns.test_steering_datagrams import disconnect


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A service with one backend, and both of its ends."""

    services: Services
    door: socket.socket
    to: tuple[str, int]
    number: int
    client: Host

    def open(self) -> int:
        """Connections open now."""
        return self.services.open(self.number)[0]

    def failures(self) -> int:
        """Attempts that never came to be."""
        return int(self.services.load(self.number)["failures"])

    def fresh(self) -> socket.socket:
        """A client's socket, not connected; a system call is one connect()."""
        made = self.client.open(socket.AF_INET)
        made.setblocking(True)
        return made

    def connected(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection."""
        client = self.fresh()
        client.connect(self.to)
        return client, self.door.accept()[0]


@pytest.fixture
def shop(a: Host, b: Host, services: Services) -> Iterator[Shop]:
    """Nothing is left open in the end."""
    with b.listen() as door:
        where, number = services.simple(door)
        made = Shop(services=services, door=door, to=(where, 80), number=number, client=a)
        yield made
    assert made.open() == 0


def test_close(shop: Shop) -> None:
    client, server = shop.connected()
    assert shop.open() == 1
    client.close()
    assert shop.open() == 0
    server.close()


def test_closed_by_the_server(shop: Shop) -> None:
    """Both have said goodbye, the client's descriptor is still there."""
    client, server = shop.connected()
    server.close()
    assert client.recv(1) == b""
    assert shop.open() == 1
    client.shutdown(socket.SHUT_WR)
    eventually(lambda: shop.open() == 0)
    client.close()


def test_shutdown(shop: Shop) -> None:
    """The descriptor is still open, the connection is not."""
    client, server = shop.connected()
    client.shutdown(socket.SHUT_RDWR)
    server.close()
    eventually(lambda: shop.open() == 0)
    client.close()


def test_reset_by_either_end(shop: Shop) -> None:
    for end in (0, 1):
        ends = shop.connected()
        assert shop.open() == 1
        ends[end].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ends[end].close()
        eventually(lambda: shop.open() == 0)
        ends[1 - end].close()


def test_refused(a: Host, b: Host, services: Services) -> None:
    """By the backend: nobody listens. The socket may be used again."""
    where, service = vip(), services.new_id()
    number = services.backend(b.v4, new_port(), service=service)
    services.put(where, 80, [number], service=service)
    with a.open(socket.AF_INET) as client:
        client.setblocking(True)
        for turn in range(3):
            assert client.connect_ex((where, 80)) == errno.ECONNREFUSED
            assert services.open(number) == [0]
            assert services.load(number)["failures"] == turn + 1
    assert services.connects(number) == [0]


def test_no_route(a: Host, services: Services) -> None:
    """Nothing leaves: never open; a failure once the socket is used again, or closed."""
    where, service = vip(), services.new_id()
    number = services.backend("203.0.113.9", 80, service=service)
    services.put(where, 80, [number], service=service)
    with a.open(socket.AF_INET) as client:
        for turn in range(3):
            assert client.connect_ex((where, 80)) == errno.ENETUNREACH
            assert services.open(number) == [0]
            assert services.load(number)["failures"] == turn
    assert services.load(number)["failures"] == 3


def test_abandoned(shop: Shop, b: Host) -> None:
    """A connect() that does not wait, and is given up."""
    with b.rules(
        "type filter hook input priority 0", f"tcp dport {shop.door.getsockname()[1]} drop"
    ):
        client = shop.fresh()
        client.setblocking(False)
        assert client.connect_ex(shop.to) == errno.EINPROGRESS
        assert shop.open() == 1
        assert client.connect_ex(shop.to) == errno.EALREADY
        assert shop.open() == 1
        client.close()
        assert shop.open() == 0
        assert shop.failures() == 1


def test_not_waited_for(shop: Shop) -> None:
    client = shop.fresh()
    client.setblocking(False)
    assert client.connect_ex(shop.to) == errno.EINPROGRESS
    assert select.select([], [client], [], 5)[1]
    assert shop.open() == 1
    client.close()


def test_connected_again(shop: Shop, b: Host) -> None:
    """One socket, one after another: to the service, to nobody, to no service, and back."""
    client = shop.fresh()
    with b.listen() as other:
        for turn in range(3):
            client.connect(shop.to)
            shop.door.accept()[0].close()
            assert shop.open() == 1
            disconnect(client)
            assert shop.open() == 0
            client.connect(other.getsockname())
            assert client.getpeername() == other.getsockname()
            assert shop.open() == 0
            disconnect(client)
            assert shop.services.connects(shop.number) == [turn + 1]
    client.close()


def test_connect_on_a_connected_socket_changes_nothing(shop: Shop) -> None:
    client, server = shop.connected()
    assert client.connect_ex(shop.to) == errno.EISCONN
    assert shop.open() == 1
    client.close()
    server.close()


def test_a_process_that_is_killed(shop: Shop) -> None:
    """With eight connections open."""
    with shop.client.inside():
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                held = [socket.create_connection(shop.to, timeout=5) for _ in range(8)]
                time.sleep(60 * len(held))
            os._exit(1)
    try:
        accepted = [shop.door.accept()[0] for _ in range(8)]
        eventually(lambda: shop.open() == 8)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    eventually(lambda: shop.open() == 0)
    for server in accepted:
        server.close()


def test_a_child_that_holds_it(shop: Shop) -> None:
    """Open until the last who has it lets go."""
    client, server = shop.connected()
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    try:
        client.close()
        assert shop.open() == 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    eventually(lambda: shop.open() == 0)
    server.close()


def test_listening_after_a_failure(a: Host, b: Host, services: Services) -> None:
    """What a socket was steered to is not what it accepts later."""
    where, service = vip(), services.new_id()
    number = services.backend(b.v4, new_port(), service=service)
    services.put(where, 80, [number], service=service)
    with a.open(socket.AF_INET) as door:
        assert door.connect_ex((where, 80)) == errno.ECONNREFUSED
        disconnect(door)
        door.bind((a.v4, new_port()))
        door.listen()
        with b.connect(door) as client, door.accept()[0] as server:
            assert server.getpeername() == client.getsockname()
    assert services.open(number) == [0]


def test_many_at_once(shop: Shop) -> None:
    """Opened and closed by two processes at the same time."""
    children = []
    for _ in range(2):
        with shop.client.inside():
            child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException), shop.client.inside():
                for _ in range(300):
                    socket.create_connection(shop.to, timeout=5).close()
                os._exit(0)
            os._exit(1)
        children.append(child)
    for _ in range(600):
        shop.door.accept()[0].close()
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    eventually(lambda: shop.open() == 0)
    assert shop.services.connects(shop.number) == [600]
    assert shop.failures() == 0
