# SPDX-License-Identifier: Apache-2.0
"""Priorities on real sockets: what they are given, what is on the wire, when it is taken back."""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.netns.hosts import Host, exchange, in_netns, new_port
from tests.netns.seeing import Seen
from tests.netns.services import TCP, UDP, Services, vip
from undermesh.kernel import priorities
from undermesh.model.priority import Mark, Marked, class_id
from undermesh.model.service import Level, ServiceId

CRITICAL = Mark(priority=class_id(Level.CRITICAL), dscp=46, congestion="reno")
BULK = Mark(priority=class_id(Level.BULK), dscp=8)
FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
IPV6_TCLASS = 67
ETH_P_ALL = 0x0003
FIN, SYN = 1, 2


@dataclass(frozen=True, slots=True)
class Has:
    """What a socket was given."""

    priority: int
    dscp: int
    congestion: str


@pytest.fixture(scope="module")
def default(hosts: tuple[Host, Host]) -> Has:
    """What a socket has that nobody gave anything."""
    with hosts[0].open(socket.AF_INET) as fresh:
        return has(fresh)


@contextlib.contextmanager
def rules(seen: Seen, marks: Mapping[Marked, Mark]) -> Iterator[None]:
    """These are in force for a while."""
    assert priorities.write(seen.plane, marks)
    try:
        yield
    finally:
        priorities.write(seen.plane, {})


def of(host: Host, *, port: int = 0) -> Marked:
    return Marked(cgroup_id=host.cgroup.stat().st_ino, port=port)


def has(end: socket.socket) -> Has:
    """What it has now."""
    if end.family == socket.AF_INET:
        tos = end.getsockopt(socket.IPPROTO_IP, socket.IP_TOS)
    else:
        tos = end.getsockopt(socket.IPPROTO_IPV6, IPV6_TCLASS)
    name = b""
    if end.type == socket.SOCK_STREAM:
        name = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    return Has(end.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY), tos >> 2, text(name))


def text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode()


def given(mark: Mark, default: Has, *, datagram: bool = False) -> Has:
    """What a socket has under a rule that sets this."""
    congestion = "" if datagram else mark.congestion or default.congestion
    return Has(mark.priority, mark.dscp or default.dscp, congestion)


@contextlib.contextmanager
def connected(a: Host, b: Host, family: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection from a to b: (client's end, server's end)."""
    with b.listen(family) as door, a.connect(door) as client:
        server, _ = door.accept()
        with server:
            yield client, server


@FAMILIES
def test_a_workload_s_connections(a: Host, b: Host, seen: Seen, default: Has, family: int) -> None:
    with rules(seen, {of(a): CRITICAL}), connected(a, b, family) as (client, server):
        assert has(client) == given(CRITICAL, default)
        assert has(server) == default


@FAMILIES
def test_a_workload_that_accepts(a: Host, b: Host, seen: Seen, default: Has, family: int) -> None:
    with rules(seen, {of(b): CRITICAL}), connected(a, b, family) as (client, server):
        assert has(client) == default
        assert has(server) == given(CRITICAL, default)


def test_only_one_port_of_a_server(a: Host, b: Host, seen: Seen, default: Has) -> None:
    with b.listen() as one, b.listen() as other:
        with rules(seen, {of(b, port=one.getsockname()[1]): CRITICAL, of(b): BULK}):
            with a.connect(one), one.accept()[0] as server:
                assert has(server) == given(CRITICAL, default)
            with a.connect(other), other.accept()[0] as server:
                assert has(server) == given(BULK, default)


@FAMILIES
@pytest.mark.parametrize("joined", [True, False], ids=["connected", "unconnected"])
def test_datagrams(a: Host, b: Host, seen: Seen, default: Has, family: int, joined: bool) -> None:
    to = (b.address(family), 9)
    with rules(seen, {of(a): CRITICAL}), a.open(family, socket.SOCK_DGRAM) as client:
        assert has(client).priority == CRITICAL.priority
        if joined:
            client.connect(to)
        else:
            client.sendto(b"x", to)
        assert has(client) == given(CRITICAL, default, datagram=True)


@FAMILIES
def test_every_packet_carries_the_dscp(a: Host, b: Host, seen: Seen, family: int) -> None:
    with wire(b) as captured, rules(seen, {of(a): CRITICAL}):
        with connected(a, b, family) as (client, server):
            exchange(client, server, request=b"x" * 5000, answer=b"ok")
            port = server.getsockname()[1]
        segments = sent_to(captured, port, family)
    assert {dscp for _, dscp in segments} == {46}
    assert any(flags & SYN for flags, _ in segments)
    assert any(flags & FIN for flags, _ in segments)


def test_what_the_application_chooses_itself_is_overruled(
    a: Host, b: Host, seen: Seen, default: Has
) -> None:
    with rules(seen, {of(a): CRITICAL}), connected(a, b, socket.AF_INET) as (client, _):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 3)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x20)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        assert has(client) == given(CRITICAL, default)


def test_what_no_rule_gives_is_the_application_s(
    a: Host, b: Host, seen: Seen, default: Has
) -> None:
    """And the priority stays, which the kernel derives from a DSCP otherwise."""
    plain = Mark(priority=class_id(Level.BULK))
    with rules(seen, {of(a): plain}), connected(a, b, socket.AF_INET) as (client, server):
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x28)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        assert has(client) == Has(plain.priority, 0x28 >> 2, "cubic")
        assert has(server).dscp == 0x28 >> 2


@FAMILIES
def test_open_connections_are_changed_and_given_back(
    a: Host, b: Host, seen: Seen, default: Has, family: int
) -> None:
    with connected(a, b, family) as (client, server):
        with rules(seen, {of(a): CRITICAL, of(b): BULK}):
            assert has(client) == default
            remark(seen, a, b)
            assert has(client) == given(CRITICAL, default)
            assert has(server) == given(BULK, default)
            priorities.write(seen.plane, {of(a): BULK})
            remark(seen, a, b)
            assert has(client) == given(BULK, default)
            assert has(server) == default
        remark(seen, a, b)
        assert has(client) == default
        exchange(client, server, request=b"x", answer=b"y")


def test_open_datagram_sockets_are_changed_with_the_next_datagram(
    a: Host, b: Host, seen: Seen, default: Has
) -> None:
    with a.open(socket.AF_INET, socket.SOCK_DGRAM) as client:
        before = has(client)
        with rules(seen, {of(a): CRITICAL}):
            client.sendto(b"x", (b.v4, 9))
            assert has(client) == given(CRITICAL, default, datagram=True)
        client.sendto(b"x", (b.v4, 9))
        assert has(client) == before


@FAMILIES
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_a_connection_to_a_service_follows_the_service(
    a: Host,
    b: Host,
    seen: Seen,
    services: Services,
    default: Has,
    family: int,
    kind: int,
) -> None:
    """Whoever makes it; what else its workload does follows the workload's own."""
    tcp = kind == socket.SOCK_STREAM
    with b.open(family, kind) as server, a.open(family, kind) as client:
        server.bind((b.address(family), new_port()))
        if tcp:
            server.listen()
        where, number = vip(family), services.new_id()
        backend = services.backend(*server.getsockname()[:2], service=number)
        services.put(where, 80, [backend], service=number, l4=TCP if tcp else UDP)
        with rules(seen, {Marked(service=ServiceId(number)): CRITICAL, of(a): BULK}):
            client.connect((where, 80))
            assert has(client) == given(CRITICAL, default, datagram=not tcp)
            with a.open(family, kind) as other:
                other.connect(server.getsockname())
                assert has(other) == given(BULK, default, datagram=not tcp)


def test_an_open_connection_to_a_service_follows_it_too(
    a: Host, b: Host, seen: Seen, services: Services, default: Has
) -> None:
    with b.listen() as server, a.open(socket.AF_INET) as client:
        where, number = vip(), services.new_id()
        backend = services.backend(*server.getsockname()[:2], service=number)
        services.put(where, 80, [backend], service=number)
        client.connect((where, 80))
        assert has(client) == default
        with rules(seen, {Marked(service=ServiceId(number)): CRITICAL}):
            remark(seen, a)
            assert has(client) == given(CRITICAL, default)


def test_a_socket_of_ipv6_that_talks_ipv4_has_its_priority(a: Host, b: Host, seen: Seen) -> None:
    """And no DSCP on IPv4 packets, which the kernel lets nobody but the application set on it."""
    with rules(seen, {of(a): CRITICAL}), b.listen() as door, a.open(socket.AF_INET6) as client:
        client.connect((f"::ffff:{b.v4}", door.getsockname()[1]))
        assert has(client).priority == CRITICAL.priority
        assert has(client).congestion == CRITICAL.congestion


def test_writing_what_is_there_changes_nothing(seen: Seen, a: Host) -> None:
    with rules(seen, {of(a): CRITICAL, of(a, port=80): BULK}):
        assert priorities.actual(seen.plane) == {of(a): CRITICAL, of(a, port=80): BULK}
        assert not priorities.write(seen.plane, {of(a): CRITICAL, of(a, port=80): BULK})
    assert priorities.actual(seen.plane) == {}
    assert seen.stat("priority_refused") == 0


def remark(seen: Seen, *hosts: Host) -> None:
    for host in hosts:
        with in_netns(host.netns):
            assert seen.plane.remark()


@contextlib.contextmanager
def wire(host: Host) -> Iterator[socket.socket]:
    """What arrives at a host's device."""
    with in_netns(host.netns):
        captured = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        captured.bind(("eth0", ETH_P_ALL))
    with captured:
        captured.setblocking(False)
        yield captured


def sent_to(captured: socket.socket, port: int, family: int) -> list[tuple[int, int]]:
    """(TCP flags, DSCP) of every segment to a port."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            raw = captured.recv(65536)
            four = raw[0] >> 4 == 4
            tcp = raw[(raw[0] & 15) * 4 :] if four else raw[40:]
            if four != (family == socket.AF_INET) or int.from_bytes(tcp[2:4], "big") != port:
                continue
            field = raw[1] if four else int.from_bytes(raw[:2], "big") >> 4 & 0xFF
            found.append((tcp[13], field >> 2))
    return found
