# SPDX-License-Identifier: Apache-2.0
"""UDP through services: connected or not, one service or several, what is shown and refused."""

import contextlib
import ctypes
import errno
import os
import socket
from collections.abc import Iterator

import pytest

from tests.netns.hosts import Host, new_port
from tests.netns.seeing import Seen
from tests.netns.services import REFUSED, UDP, Services, vip

FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
DGRAM = socket.SOCK_DGRAM
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def bound(host: Host, family: int = socket.AF_INET) -> Iterator[socket.socket]:
    """A UDP server's socket."""
    with host.open(family, DGRAM) as server:
        server.bind((host.address(family), new_port()))
        yield server


def answer(server: socket.socket, payload: bytes = b"pong") -> bytes:
    """Answers one datagram; what was in it."""
    request, client = server.recvfrom(100)
    server.sendto(payload, client)
    return request


def disconnect(end: socket.socket) -> None:
    """connect() to AF_UNSPEC, which Python does not offer."""
    if _libc.connect(end.fileno(), bytes(16), 16):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@FAMILIES
def test_connected(a: Host, b: Host, services: Services, family: int) -> None:
    with bound(b, family) as server, a.open(family, DGRAM) as client:
        where, number = services.simple(server, l4=UDP)
        client.connect((where, 80))
        assert services.open(number) == [1]
        client.send(b"ping")
        assert answer(server) == b"ping"
        assert client.recvfrom(10)[1][:2] == (where, 80)
        assert client.getpeername()[:2] == (where, 80)
    assert (services.open(number), services.connects(number)) == ([0], [1])


@FAMILIES
def test_unconnected(a: Host, b: Host, services: Services, family: int) -> None:
    """The answer comes from the address that was asked."""
    with bound(b, family) as server, a.open(family, DGRAM) as client:
        where, number = services.simple(server, l4=UDP)
        for _ in range(3):
            client.sendto(b"ping", (where, 80))
            assert answer(server) == b"ping"
            assert client.recvfrom(10)[1][:2] == (where, 80)
        assert (services.open(number), services.connects(number)) == ([0], [1])


def test_recvmsg_shows_it_too(a: Host, b: Host, services: Services) -> None:
    with bound(b) as server, a.open(socket.AF_INET, DGRAM) as client:
        where, _ = services.simple(server, l4=UDP)
        client.sendmsg([b"pi", b"ng"], [], 0, (where, 80))
        assert answer(server) == b"ping"
        payload, _, _, source = client.recvmsg(10)
        assert (payload, source) == (b"pong", (where, 80))


def test_ipv4_service_on_a_socket_of_ipv6(a: Host, b: Host, services: Services) -> None:
    with bound(b) as server:
        where, _ = services.simple(server, l4=UDP)
        mapped = f"::ffff:{where}"
        with a.open(socket.AF_INET6, DGRAM) as client:
            client.sendto(b"ping", (mapped, 80))
            assert answer(server) == b"ping"
            assert client.recvfrom(10)[1][:2] == (mapped, 80)
        with a.open(socket.AF_INET6, DGRAM) as client:
            client.connect((mapped, 80))
            client.send(b"ping")
            assert answer(server) == b"ping"
            assert client.recvfrom(10)[1][:2] == (mapped, 80)
            assert client.getpeername()[:2] == (mapped, 80)


def test_ipv6_service_with_an_ipv4_backend(a: Host, b: Host, services: Services) -> None:
    """The kernel takes no such change at sendto(), only at connect()."""
    with bound(b) as server:
        where, service = vip(socket.AF_INET6), services.new_id()
        services.put(
            where,
            80,
            [services.backend(*server.getsockname(), service=service)],
            service=service,
            l4=UDP,
        )
        with a.open(socket.AF_INET6, DGRAM) as client:
            with pytest.raises(ConnectionRefusedError):
                client.sendto(b"ping", (where, 80))
            client.connect((where, 80))
            client.send(b"ping")
            assert answer(server) == b"ping"
            assert client.recvfrom(10)[1][:2] == (where, 80)


def test_several_services_on_one_socket(a: Host, b: Host, services: Services) -> None:
    """In turns, answered out of order, and beside a server that is no service."""
    with bound(b) as one, bound(b) as two, bound(b) as plain, a.open(socket.AF_INET, DGRAM) as c:
        first, _ = services.simple(one, l4=UDP)
        second, _ = services.simple(two, l4=UDP)
        for _ in range(3):
            c.sendto(b"1", (first, 80))
            c.sendto(b"2", (second, 80))
            c.sendto(b"3", plain.getsockname())
            assert answer(plain) == b"3"
            assert answer(two) == b"2"
            assert answer(one) == b"1"
            sources = [c.recvfrom(10)[1] for _ in range(3)]
            assert sources == [plain.getsockname(), (second, 80), (first, 80)]


def test_a_conversation_stays_with_its_backend(a: Host, b: Host, services: Services) -> None:
    """Datagrams of one socket go to one backend as long as it is usable; sockets spread."""
    where, service = vip(), services.new_id()
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(bound(b)) for _ in range(4)]
        numbers = [services.backend(*s.getsockname(), service=service) for s in servers]
        services.put(where, 80, numbers, service=service, l4=UDP)
        with a.inside():
            clients = [stack.enter_context(socket.socket(socket.AF_INET, DGRAM)) for _ in range(64)]
        for client in clients:
            for _ in range(3):
                client.sendto(b"x", (where, 80))
        begun = services.connects(*numbers)
        assert sum(begun) == 64
        assert min(begun) > 0
        client = clients[0]
        for server in servers:
            server.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    server.recv(10)
        client.sendto(b"x", (where, 80))
        (had,) = [at for at, server in enumerate(servers) if _got(server)]
        services.tables.set_usable([numbers[had]], False)
        client.sendto(b"x", (where, 80))
        (has,) = [at for at, server in enumerate(servers) if _got(server)]
        assert has != had


def _got(server: socket.socket) -> bool:
    try:
        return server.recv(10) == b"x"
    except BlockingIOError:
        return False


def test_sendto_on_a_connected_socket(a: Host, b: Host, services: Services) -> None:
    """To the service it is connected to: the same backend, whose answers it can hear."""
    where, service = vip(), services.new_id()
    with bound(b) as one, bound(b) as two, a.open(socket.AF_INET, DGRAM) as client:
        numbers = [services.backend(*s.getsockname(), service=service) for s in (one, two)]
        services.put(where, 80, numbers, service=service, l4=UDP)
        client.connect((where, 80))
        server = one if services.open(*numbers) == [1, 0] else two
        for _ in range(20):
            client.sendto(b"ping", (where, 80))
            assert answer(server) == b"ping"
            assert client.recvfrom(10)[1] == (where, 80)


@FAMILIES
def test_without_backends_it_is_refused_at_once(a: Host, services: Services, family: int) -> None:
    where = vip(family)
    services.put(where, 80, [], service=services.new_id(), l4=UDP, flags=REFUSED)
    with a.open(family, DGRAM) as client:
        assert client.connect_ex((where, 80)) == errno.ECONNREFUSED
        with pytest.raises(ConnectionRefusedError):
            client.sendto(b"ping", (where, 80))


def test_connected_elsewhere(a: Host, b: Host, services: Services) -> None:
    """To another service, to none, to nobody: counted where it is, shown as what it is."""
    with bound(b) as one, bound(b) as two, a.open(socket.AF_INET, DGRAM) as client:
        first, at_first = services.simple(one, l4=UDP)
        second, at_second = services.simple(two, l4=UDP)
        client.connect((first, 80))
        client.connect((second, 80))
        assert services.open(at_first, at_second) == [0, 1]
        assert client.getpeername() == (second, 80)
        client.connect(one.getsockname())
        assert services.open(at_first, at_second) == [0, 0]
        assert client.getpeername() == one.getsockname()
        client.connect((first, 80))
        disconnect(client)
        with pytest.raises(OSError, match="not connected"):
            client.getpeername()
        client.sendto(b"ping", one.getsockname())
        assert answer(one) == b"ping"
        assert client.recvfrom(10)[1] == one.getsockname()
        client.sendto(b"ping", (first, 80))
        assert services.open(at_first, at_second) == [0, 0]
        assert answer(one) == b"ping"
        assert client.recvfrom(10)[1] == (first, 80)


def test_edges_name_the_backend(a: Host, b: Host, seen: Seen, services: Services) -> None:
    with bound(b) as server, a.open(socket.AF_INET, DGRAM) as client:
        port = server.getsockname()[1]
        where, _ = services.simple(server, l4=UDP)
        client.sendto(b"ping", (where, 80))
        answer(server)
        client.recv(10)
        edge = seen.edge(port)
    assert (edge.client, edge.server, edge["opened"]) == ("a", "b", 1)
    assert (edge["tx_bytes"], edge["rx_bytes"]) == (4, 4)
