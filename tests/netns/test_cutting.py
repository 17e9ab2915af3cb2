# SPDX-License-Identifier: Apache-2.0
"""Open sockets of a backend are reset, those of others left alone."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator

import pytest

from tests.netns.hosts import Host, exchange, receive
from tests.netns.seeing import Seen, eventually
from tests.netns.services import UDP, Services
from tests.netns.test_steering_datagrams import bound
from undermesh.kernel import cutting


@pytest.fixture(scope="module")
def cutter(seen: Seen) -> Iterator[cutting.Cutting]:
    """Loaded over the plane's maps."""
    with cutting.Cutting.load(seen.plane.maps) as loaded:
        yield loaded


@contextlib.contextmanager
def namespaces(*hosts: Host) -> Iterator[list[int]]:
    """Their descriptors."""
    found = [os.open(f"/run/netns/{host.netns}", os.O_RDONLY) for host in hosts]
    try:
        yield found
    finally:
        for descriptor in found:
            os.close(descriptor)


def test_connections_of_a_backend(
    a: Host, b: Host, services: Services, cutter: cutting.Cutting
) -> None:
    """Both ends know at once; another backend's connection goes on."""
    with b.listen() as one, b.listen() as two, contextlib.ExitStack() as stack:
        pairs = {}
        for door in (one, two):
            where, number = services.simple(door)
            client = stack.enter_context(a.open(socket.AF_INET))
            client.connect((where, 80))
            pairs[number] = client, stack.enter_context(door.accept()[0])
        (cut, (client, server)), (kept, others) = pairs.items()
        with namespaces(a, b) as both:
            cutter.cut(services.tables, [cut], namespaces=both)
        with pytest.raises(ConnectionAbortedError):
            client.recv(1)
        with pytest.raises(ConnectionResetError):
            server.recv(1)
        assert services.open(cut, kept) == [0, 1]
        exchange(*others, request=b"ping", answer=b"pong")


def test_a_marked_backend_is_used_again(
    a: Host, b: Host, services: Services, cutter: cutting.Cutting
) -> None:
    """The mark is there for the cut alone."""
    with b.listen() as door, namespaces(a) as only:
        where, number = services.simple(door)
        cutter.cut(services.tables, [number], namespaces=only)
        with a.open(socket.AF_INET) as client:
            client.connect((where, 80))
            with door.accept()[0] as server:
                exchange(client, server, request=b"ping", answer=b"pong")


def test_connected_datagrams(a: Host, b: Host, services: Services, cutter: cutting.Cutting) -> None:
    """Whoever waits for an answer is told that none will come; TCP is left alone when asked so."""
    with (
        bound(b) as door,
        b.listen() as listener,
        a.open(socket.AF_INET, socket.SOCK_DGRAM) as client,
        a.open(socket.AF_INET) as stream,
        namespaces(a) as only,
    ):
        where, number = services.simple(door, l4=UDP)
        there, other = services.simple(listener)
        client.connect((where, 80))
        stream.connect((there, 80))
        cutter.cut(services.tables, [number, other], namespaces=only, udp_only=True)
        with pytest.raises(OSError, match="abort") as told:
            client.recv(1)
        assert told.value.errno == errno.ECONNABORTED
        with listener.accept()[0] as server:
            server.sendall(b"x")
            assert receive(stream, 1) == b"x"
        client.connect((where, 80))
        eventually(lambda: services.open(number) == [1])
    assert services.open(number, other) == [0, 0]
