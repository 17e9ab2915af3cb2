# SPDX-License-Identifier: Apache-2.0
"""A connection with both ends on this host is one edge, measured once, whatever is in between."""

import socket

import pytest

from tests.netns.hosts import Host, exchange, in_netns, new_port
from tests.netns.seeing import Seen, address

GET = b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])


@FAMILIES
def test_two_namespaces(a: Host, b: Host, seen: Seen, family: int) -> None:
    with b.listen(family) as door, a.connect(door) as client, door.accept()[0] as server:
        port = door.getsockname()[1]
        for _ in range(3):
            exchange(client, server, request=GET, answer=OK)
        (flow,) = seen.open_flows(port)

    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.role, edge.l7) == ("a", "b", "client", "http1")
    assert (edge["opened"], edge["closed"], edge["connects"]) == (1, 1, 1)
    assert (edge["tx_bytes"], edge["rx_bytes"]) == (3 * len(GET), 3 * len(OK))
    assert edge["rtts"] >= 1
    assert edge["rtt_us"] > 0
    assert (edge["desyncs"], edge["resets"], edge.failures) == (0, 0, {})
    (series,) = seen.requests(port)
    assert (series.client, series.server, series.role) == ("a", "b", "client")
    assert (series.method, series.status, series.requests, series.ended) == ("GET", 200, 3, 3)
    assert (series.request_bytes, series.response_bytes) == (3 * len(GET), 3 * len(OK))
    assert address(flow["client_address"]) == a.address(family)
    assert address(flow["server_address"]) == b.address(family)
    (ended,) = seen.flows(port)
    assert (ended["tx_bytes"], ended["rx_bytes"]) == (3 * len(GET), 3 * len(OK))
    assert int(ended["requests"]) == 3


@pytest.mark.parametrize("where", ["127.0.0.1", "127.8.8.8", "::1"])
def test_one_namespace_over_loopback(a: Host, seen: Seen, where: str) -> None:
    family = socket.AF_INET6 if ":" in where else socket.AF_INET
    with a.open(family) as door:
        door.bind((where, new_port()))
        door.listen()
        port = door.getsockname()[1]
        with a.connect(door) as client, door.accept()[0] as server:
            exchange(client, server, request=GET, answer=OK)

    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.role) == ("a", "a", "client")
    assert seen.counts(port) == {("GET", 200): 1}


def test_ipv4_on_a_socket_of_ipv6(a: Host, b: Host, seen: Seen) -> None:
    with b.open(socket.AF_INET6) as door, a.open(socket.AF_INET6) as client:
        door.bind(("::", new_port()))
        door.listen()
        port = door.getsockname()[1]
        client.connect((f"::ffff:{b.v4}", port))
        with door.accept()[0] as server:
            exchange(client, server, request=GET, answer=OK)
            (flow,) = seen.open_flows(port)
        client.close()

    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.role) == ("a", "b", "client")
    assert (edge["opened"], edge["closed"]) == (1, 1)
    assert address(flow["client_address"]) == a.v4
    assert address(flow["server_address"]) == b.v4
    assert seen.counts(port) == {("GET", 200): 1}


@FAMILIES
def test_through_dnat_the_ends_find_each_other_by_sequence_numbers(
    a: Host, b: Host, seen: Seen, family: int
) -> None:
    """The client dials 8080, the server listens on another port: the edge is the server's."""
    with b.listen(family) as door:
        port = door.getsockname()[1]
        chain = "type nat hook prerouting priority dstnat"
        with b.rules(chain, f"tcp dport 8080 redirect to :{port}"), a.open(family) as client:
            client.connect((b.address(family), 8080))
            with door.accept()[0] as server:
                exchange(client, server, request=GET, answer=OK)

    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.role, edge["opened"]) == ("a", "b", "client", 1)
    assert seen.counts(port) == {("GET", 200): 1}
    assert seen.edges(8080) == []


@FAMILIES
def test_a_client_from_outside_is_the_world(
    hosts: tuple[Host, Host], b: Host, seen: Seen, family: int
) -> None:
    outside, _ = hosts
    with b.listen(family) as door:
        port = door.getsockname()[1]
        with in_netns(outside.netns):  # but in no cgroup that is observed
            client = socket.create_connection(door.getsockname()[:2], timeout=10)
        with client, door.accept()[0] as server:
            exchange(client, server, request=GET, answer=OK)

    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.role, edge.l7) == ("world", "b", "server", "http1")
    assert (edge["opened"], edge["closed"], edge["connects"]) == (1, 1, 0)
    assert (edge["tx_bytes"], edge["rx_bytes"]) == (len(GET), len(OK))
    assert seen.counts(port) == {("GET", 200): 1}


@FAMILIES
def test_a_server_outside_is_its_address(
    hosts: tuple[Host, Host], a: Host, seen: Seen, family: int
) -> None:
    _, outside = hosts
    with in_netns(outside.netns):
        door = socket.create_server((outside.address(family), new_port()), family=family)
    with door:
        port = door.getsockname()[1]
        with a.connect(door) as client, door.accept()[0] as server:
            exchange(client, server, request=GET, answer=OK)

    edge = seen.edge(port)
    assert (edge.client, edge.server) == ("a", outside.address(family))
    assert (edge.role, edge["connects"]) == ("client", 1)
    assert seen.counts(port) == {("GET", 200): 1}


def test_several_listeners_on_one_port(a: Host, b: Host, seen: Seen) -> None:
    doors = []
    with b.open(socket.AF_INET) as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        first.bind((b.v4, new_port()))
        first.listen()
        doors.append(first)
        port = first.getsockname()[1]
        for _ in range(3):
            doors.append(b.open(socket.AF_INET))
            doors[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            doors[-1].bind((b.v4, port))
            doors[-1].listen()
        for door in doors:
            door.setblocking(False)
        for _ in range(40):
            with a.connect(first) as client:
                server = _accept_any(doors)
                with server:
                    exchange(client, server, request=GET, answer=OK)
        for door in doors:
            door.close()

    edge = seen.edge(port)
    assert (edge.client, edge.server, edge["opened"], edge["closed"]) == ("a", "b", 40, 40)
    assert seen.counts(port) == {("GET", 200): 40}
    keys, _ = seen.plane.dump("um_listeners")
    assert port not in keys["port"]


def _accept_any(doors: list[socket.socket]) -> socket.socket:
    for door in doors:
        try:
            server = door.accept()[0]
        except BlockingIOError:
            continue
        server.settimeout(10)
        return server
    raise AssertionError("no listener has a connection")
