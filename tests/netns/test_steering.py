# SPDX-License-Identifier: Apache-2.0
"""connect() to a service: where it goes, what the application sees, what is recorded."""

import errno
import socket
import time

import pytest

from tests.netns.hosts import Host, exchange, in_netns, new_port, receive
from tests.netns.seeing import FAILURES, Seen, address
from tests.netns.services import BY_NETNS, REFUSED, Services, cookie, vip

GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
BROKEN = b"HTTP/1.1 503 Gone\r\nContent-Length: 0\r\n\r\n"
FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
AT_ONCE_S = 0.5


@FAMILIES
def test_a_service_is_reached_and_shown(a: Host, b: Host, services: Services, family: int) -> None:
    """The server sees its client as ever; the client sees the address it asked for."""
    with b.listen(family) as door, a.open(family) as client:
        where, number = services.simple(door)
        client.connect((where, 80))
        with door.accept()[0] as server:
            exchange(client, server, request=b"ping", answer=b"pong")
            assert client.getpeername()[:2] == (where, 80)
            assert server.getpeername()[:2] == client.getsockname()[:2]
            assert services.open(number) == [1]
        assert services.connects(number) == [1]


def test_ipv4_service_on_a_socket_of_ipv6(a: Host, b: Host, services: Services) -> None:
    with b.listen() as door, a.open(socket.AF_INET6) as client:
        where, number = services.simple(door)
        client.connect((f"::ffff:{where}", 80))
        with door.accept()[0] as server:
            exchange(client, server, request=b"ping", answer=b"pong")
        assert client.getpeername()[:2] == (f"::ffff:{where}", 80)
        assert services.connects(number) == [1]


def test_ipv6_service_with_an_ipv4_backend(a: Host, b: Host, services: Services) -> None:
    where = vip(socket.AF_INET6)
    with b.listen() as door, a.open(socket.AF_INET6) as client:
        service = services.new_id()
        services.put(
            where, 80, [services.backend(*door.getsockname(), service=service)], service=service
        )
        client.connect((where, 80))
        with door.accept()[0] as server:
            exchange(client, server, request=b"ping", answer=b"pong")
        assert client.getpeername()[:2] == (where, 80)


def test_an_ipv4_socket_is_not_sent_to_ipv6(a: Host, b: Host, services: Services) -> None:
    with b.listen(socket.AF_INET6) as door, a.open(socket.AF_INET) as client:
        service, where = services.new_id(), vip()
        services.put(
            where, 80, [services.backend(*door.getsockname()[:2], service=service)], service=service
        )
        assert client.connect_ex((where, 80)) == errno.ECONNREFUSED


def test_other_ports_and_protocols_go_where_they_were_sent(
    a: Host, b: Host, services: Services
) -> None:
    with b.listen() as door:
        where, _ = services.simple(door)
        for kind, port in ((socket.SOCK_STREAM, 81), (socket.SOCK_DGRAM, 80)):
            with a.open(socket.AF_INET, kind) as client:
                assert client.connect_ex((where, port)) == errno.ENETUNREACH


def test_who_asks_for_no_service_sees_the_address_it_asked_for(
    a: Host, b: Host, services: Services
) -> None:
    """Also where that is a service's backend."""
    with b.listen() as door:
        _, number = services.simple(door)
        with a.connect(door) as client, door.accept()[0]:
            assert client.getpeername() == door.getsockname()
        assert services.connects(number) == [0]


@FAMILIES
@pytest.mark.parametrize("why", ["flag", "no slots", "unusable"])
def test_without_backends_it_is_refused_at_once(
    a: Host, b: Host, services: Services, family: int, why: str
) -> None:
    where = vip(family)
    with b.listen(family) as door:
        service = services.new_id()
        number = services.backend(*door.getsockname()[:2], service=service)
        if why == "unusable":
            services.tables.set_usable([number], False)
        services.put(
            where, 80, [] if why == "no slots" else [number], service=service,
            flags=REFUSED if why == "flag" else 0,
        )  # fmt: skip
        begun = time.monotonic()
        for kind in (socket.SOCK_STREAM,):
            with a.open(family, kind) as client:
                assert client.connect_ex((where, 80)) == errno.ECONNREFUSED
                assert client.connect_ex((where, 80)) == errno.ECONNREFUSED
        assert time.monotonic() - begun < AT_ONCE_S
        assert services.load(number)["failures"] == 0


def test_a_refusal_is_recorded(a: Host, seen: Seen, services: Services) -> None:
    where, port, service = vip(), new_port(), services.new_id()
    services.put(where, port, [], service=service, flags=REFUSED)
    with a.open(socket.AF_INET) as client:
        assert client.connect_ex((where, port)) == errno.ECONNREFUSED
    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.failures) == ("a", where, {"refused": 1})
    (flow,) = seen.flows(port)
    assert FAILURES[int(flow["failure"])] == "refused"
    assert (int(flow["service"]), address(flow["service_address"])) == (service, where)


@FAMILIES
def test_an_edge_is_from_the_client_to_the_backend(
    a: Host, b: Host, seen: Seen, services: Services, family: int
) -> None:
    """Measured once, with the backend's port; the flow says which service was asked for."""
    with b.listen(family) as door, a.open(family) as client:
        port = door.getsockname()[1]
        where, number = services.simple(door, port=8080)
        client.connect((where, 8080))
        with door.accept()[0] as server:
            exchange(client, server, request=GET, answer=OK)
            exchange(client, server, request=GET, answer=BROKEN)
    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.role, edge.l7) == ("a", "b", "client", "http1")
    assert (edge["opened"], edge["closed"]) == (1, 1)
    assert seen.counts(port) == {("GET", 200): 1, ("GET", 503): 1}
    (flow,) = seen.flows(port)
    assert address(flow["server_address"]) == b.address(family)
    assert address(flow["service_address"]) == where
    assert (int(flow["service_port"]), int(flow["server_port"])) == (8080, port)
    load = services.load(number)
    assert (load["connects"], load["requests"], load["errors"]) == (1, 2, 1)
    assert 0 < load["duration_ns"] < 2e9
    assert 0 < load["ewma_ns"] <= load["duration_ns"]


def test_requests_that_are_cut_are_errors(a: Host, b: Host, services: Services) -> None:
    with b.listen() as door, a.open(socket.AF_INET) as client:
        where, number = services.simple(door)
        client.connect((where, 80))
        with door.accept()[0] as server:
            client.sendall(GET)
            receive(server, len(GET))
        assert client.recv(1) == b""
        client.close()
        load = services.load(number)
        assert (load["requests"], load["errors"]) == (1, 1)


def test_a_change_is_in_force_for_the_next_connect(a: Host, b: Host, services: Services) -> None:
    where, service = vip(), services.new_id()
    with b.listen() as one, b.listen() as two, a.inside():
        numbers = [services.backend(*d.getsockname(), service=service) for d in (one, two)]
        for turn in range(50):
            at = turn % 2
            services.put(where, 80, [numbers[at]], service=service)
            with socket.create_connection((where, 80), timeout=5):
                (one, two)[at].accept()[0].close()
        assert services.connects(*numbers) == [25, 25]
        assert services.open(*numbers) == [0, 0]


def test_a_namespace_with_backends_of_its_own(a: Host, b: Host, services: Services) -> None:
    """Loopback endpoints serve only their own namespace; all others have the general entry."""
    where, service = vip(), services.new_id()
    with b.listen() as general, a.open(socket.AF_INET) as own:
        own.bind(("127.0.0.1", new_port()))
        own.listen()
        theirs = services.backend(*general.getsockname(), service=service)
        ours = services.backend(*own.getsockname(), service=service, netns=cookie(a))
        services.put(where, 80, [theirs], service=service, flags=BY_NETNS)
        services.put(where, 80, [ours], service=service, netns=cookie(a))
        for host, number in ((a, ours), (b, theirs)):
            with host.open(socket.AF_INET) as client:
                client.connect((where, 80))
                assert client.getpeername() == (where, 80)
            assert services.connects(number) == [1]


def test_a_backend_of_another_namespace_is_not_chosen(a: Host, b: Host, services: Services) -> None:
    where, service = vip(), services.new_id()
    number = services.backend("127.0.0.1", new_port(), service=service, netns=cookie(b))
    services.put(where, 80, [number], service=service)
    with a.open(socket.AF_INET) as client:
        assert client.connect_ex((where, 80)) == errno.ECONNREFUSED


def test_a_socket_bound_to_a_device_is_not_sent_to_loopback(a: Host, services: Services) -> None:
    """It could not reach it, and would wait for minutes."""
    where, service = vip(), services.new_id()
    number = services.backend("127.0.0.1", new_port(), service=service)
    services.put(where, 80, [number], service=service)
    with a.open(socket.AF_INET) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        begun = time.monotonic()
        assert client.connect_ex((where, 80)) == errno.ECONNREFUSED
        assert time.monotonic() - begun < AT_ONCE_S


def test_fast_open(a: Host, b: Host, services: Services) -> None:
    """sendto() on a new TCP socket connects, too."""
    with b.listen() as door, a.open(socket.AF_INET) as client:
        where, number = services.simple(door)
        client.setblocking(True)
        client.sendto(b"hello", socket.MSG_FASTOPEN, (where, 80))
        with door.accept()[0] as server:
            assert receive(server, 5) == b"hello"
            assert client.getpeername() == (where, 80)
            assert services.open(number) == [1]
    assert services.open(number) == [0]


def test_an_entry_of_another_service_is_never_followed(
    a: Host, b: Host, services: Services
) -> None:
    """A row read amid its replacement: the backend says whose it is."""
    where, service = vip(), services.new_id()
    with b.listen() as door:
        number = services.backend(*door.getsockname(), service=services.new_id())
        services.put(where, 80, [number], service=service)
        with a.open(socket.AF_INET) as client, in_netns(a.netns):
            assert client.connect_ex((where, 80)) == errno.ECONNREFUSED
