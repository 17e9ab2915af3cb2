# SPDX-License-Identifier: Apache-2.0
"""Connections that never came to be, by reason; and those that were cut."""

import errno
import select
import socket
import struct

import pytest

from tests.netns.hosts import Host, exchange, in_netns, receive
from tests.netns.seeing import FAILURES, Seen, eventually

GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])


def assert_failed(seen: Seen, port: int, reason: str, *, server: str, times: int = 1) -> None:
    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.role) == ("a", server, "client")
    assert edge.failures == {reason: times}
    assert (edge["opened"], edge["closed"]) == (0, 0)
    flows = seen.flows(port)
    assert [FAILURES[int(flow["failure"])] for flow in flows] == [reason] * times
    assert {int(flow["state"]) for flow in flows} == {3}


def reset(end: socket.socket) -> None:
    """Closes with a reset."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


@FAMILIES
def test_refused(a: Host, b: Host, seen: Seen, family: int) -> None:
    port = 7001 if family == socket.AF_INET else 7002
    for _ in range(3):
        with a.open(family) as client:
            assert client.connect_ex((b.address(family), port)) == errno.ECONNREFUSED

    assert_failed(seen, port, "refused", server=b.address(family), times=3)


@FAMILIES
def test_timed_out(a: Host, b: Host, seen: Seen, family: int) -> None:
    """One SYN, no answer to it within its first retransmission timeout."""
    port = 7003 if family == socket.AF_INET else 7004
    a.set("ipv4.tcp_syn_retries", 1)
    a.set("ipv4.tcp_syn_linear_timeouts", 0)
    with (
        b.rules("type filter hook input priority 0", f"tcp dport {port} drop"),
        a.open(family) as client,
    ):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
        assert client.connect_ex((b.address(family), port)) == errno.ETIMEDOUT

    assert_failed(seen, port, "timeout", server=b.address(family))
    assert int(seen.flows(port)[0]["retransmits"]) >= 1


@FAMILIES
def test_no_route(a: Host, seen: Seen, family: int) -> None:
    """No SYN leaves the host; the attempt is counted when the socket is given up."""
    where = "203.0.113.9" if family == socket.AF_INET else "2001:db8::9"
    port = 7005 if family == socket.AF_INET else 7006
    with a.open(family) as client:
        assert client.connect_ex((where, port)) == errno.ENETUNREACH

    assert_failed(seen, port, "unreachable", server=where)


@FAMILIES
def test_no_route_twice_then_somewhere(a: Host, b: Host, seen: Seen, family: int) -> None:
    """A resolver's list of addresses tried on one socket: each attempt is counted once."""
    where = "203.0.113.9" if family == socket.AF_INET else "2001:db8::9"
    port = 7007 if family == socket.AF_INET else 7008
    with b.listen(family, port=port) as door, a.open(family) as client:
        assert client.connect_ex((where, port)) == errno.ENETUNREACH
        assert client.connect_ex((where, port)) == errno.ENETUNREACH
        client.connect((b.address(family), port))
        door.accept()[0].close()

    lost, made = sorted(seen.edges(port), key=lambda edge: edge["opened"])
    assert (lost.server, lost.failures) == (where, {"unreachable": 2})
    assert (made.server, made.failures, made["opened"]) == ("b", {}, 1)


@FAMILIES
def test_told_unreachable_by_icmp(a: Host, b: Host, seen: Seen, family: int) -> None:
    """Within the link the answer comes while connect() still holds the socket: the kernel then
    believes the second one, a second later."""
    port = 7009 if family == socket.AF_INET else 7010
    chain = "type filter hook input priority 0"
    kind = "icmp type host-unreachable" if family == socket.AF_INET else "icmpv6 type no-route"
    with b.rules(chain, f"tcp dport {port} reject with {kind}"), a.open(family) as client:
        client.setblocking(True)
        assert client.connect_ex((b.address(family), port)) in (
            errno.EHOSTUNREACH,
            errno.ENETUNREACH,
        )

    assert_failed(seen, port, "unreachable", server=b.address(family))


@FAMILIES
def test_given_up(a: Host, b: Host, seen: Seen, family: int) -> None:
    port = 7011 if family == socket.AF_INET else 7012
    with b.rules("type filter hook input priority 0", f"tcp dport {port} drop"):
        client = a.open(family)
        client.setblocking(False)
        assert client.connect_ex((b.address(family), port)) == errno.EINPROGRESS
        client.close()

    assert_failed(seen, port, "aborted", server=b.address(family))


@FAMILIES
def test_a_reset_before_the_answer_cuts_the_request(
    a: Host, b: Host, seen: Seen, family: int
) -> None:
    with b.listen(family) as door, a.connect(door) as client:
        port = door.getsockname()[1]
        server, _ = door.accept()
        exchange(client, server, request=GET, answer=OK)
        client.sendall(GET)
        receive(server, len(GET))
        reset(server)
        with pytest.raises(ConnectionResetError):
            client.recv(1)

    assert seen.counts(port) == {("GET", 200): 1, ("GET", 0): 1}
    edge = seen.edge(port)
    assert (edge["opened"], edge["closed"], edge["resets"]) == (1, 1, 1)
    (flow,) = seen.flows(port)
    assert int(flow["reset"]) == 1


@FAMILIES
@pytest.mark.parametrize("length", [b"Content-Length: 100000\r\n", b""], ids=["length", "close"])
def test_a_reset_amid_the_answer_leaves_it_without_end(
    a: Host, b: Host, seen: Seen, family: int, length: bytes
) -> None:
    begun = b"HTTP/1.1 200 OK\r\n" + length + b"\r\n" + b"x" * 100
    with b.listen(family) as door, a.connect(door) as client:
        port = door.getsockname()[1]
        server, _ = door.accept()
        server.settimeout(10)
        exchange(client, server, request=GET, answer=begun)
        reset(server)
        with pytest.raises(ConnectionResetError):
            client.recv(1)

    (series,) = seen.requests(port)
    assert (series.status, series.requests, series.ended) == (200, 1, 0)
    assert series.response_bytes == len(begun)
    assert seen.edge(port)["resets"] == 1


@FAMILIES
def test_a_client_that_resets(a: Host, b: Host, seen: Seen, family: int) -> None:
    with b.listen(family) as door:
        port = door.getsockname()[1]
        client = a.connect(door)
        server, _ = door.accept()
        exchange(client, server, request=GET, answer=OK)
        client.sendall(GET)
        reset(client)
        with server, pytest.raises(ConnectionResetError):
            receive(server, len(GET) + 1)

    assert seen.counts(port) == {("GET", 200): 1, ("GET", 0): 1}
    assert (seen.edge(port)["closed"], seen.edge(port)["resets"]) == (1, 1)


@FAMILIES
def test_closing_with_unread_data_is_a_reset(a: Host, b: Host, seen: Seen, family: int) -> None:
    """The kernel closes the socket first and sends its reset after."""
    with b.listen(family) as door:
        port = door.getsockname()[1]
        client = a.connect(door)
        server, _ = door.accept()
        exchange(client, server, request=GET, answer=OK)
        server.sendall(b"unread")
        assert select.select([client], [], [], 10)[0]
        client.close()
        server.close()

    assert eventually(lambda: seen.edge(port)["resets"])
    edge = seen.edge(port)
    assert (edge["opened"], edge["closed"], edge["resets"]) == (1, 1, 1)


@FAMILIES
def test_an_external_client_that_resets(
    hosts: tuple[Host, Host], b: Host, seen: Seen, family: int
) -> None:
    outside, _ = hosts
    with b.listen(family) as door:
        port = door.getsockname()[1]
        with in_netns(outside.netns):
            client = socket.create_connection(door.getsockname()[:2], timeout=10)
        server, _ = door.accept()
        exchange(client, server, request=GET, answer=OK)
        client.sendall(GET)
        receive(server, len(GET))
        reset(client)
        with server, pytest.raises(ConnectionResetError):
            server.recv(1)

    assert seen.counts(port) == {("GET", 200): 1, ("GET", 0): 1}
    edge = seen.edge(port)
    assert (edge.client, edge.role, edge["resets"], edge["closed"]) == ("world", "server", 1, 1)
