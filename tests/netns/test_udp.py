# SPDX-License-Identifier: Apache-2.0
"""UDP conversations and DNS in them, each measured at one end."""

import contextlib
import socket
from collections.abc import Iterator

import dnslib
import numpy as np
import pytest

from tests.netns.hosts import Host, in_cgroup, in_netns, new_port
from tests.netns.seeing import Seen, address

FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
NOERROR, SERVFAIL, NXDOMAIN, UNANSWERED = 0, 2, 3, 0xFFFF


def bound(host: Host, family: int, *, port: int | None = None) -> socket.socket:
    made = host.open(family, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host.address(family), new_port() if port is None else port))
    return made


def echo(server: socket.socket, times: int = 1) -> None:
    for _ in range(times):
        data, sender = server.recvfrom(65536)
        server.sendto(data.upper(), sender)


@FAMILIES
@pytest.mark.parametrize("connected", [True, False], ids=["connected", "unconnected"])
def test_both_ends_on_this_host(a: Host, b: Host, seen: Seen, family: int, connected: bool) -> None:
    with bound(b, family) as server, a.open(family, socket.SOCK_DGRAM) as client:
        port = server.getsockname()[1]
        if connected:
            client.connect(server.getsockname())

        def say(text: bytes) -> None:
            if connected:
                client.send(text)
            else:
                client.sendto(text, server.getsockname())

        for _ in range(3):
            say(b"ping")
            echo(server)
            assert client.recv(100) == b"PING"
        say(b"x" * 1200)
        server.recv(2000)

    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.role, edge.l7) == ("a", "b", "client", "udp")
    assert (edge["opened"], edge["tx_bytes"], edge["rx_bytes"]) == (1, 3 * 4 + 1200, 3 * 4)
    assert (edge["tx_packets"], edge["rx_packets"]) == (4, 3)
    assert seen.requests(port) == []


def test_many_clients_of_one_socket(a: Host, b: Host, seen: Seen) -> None:
    with bound(b, socket.AF_INET) as server, contextlib.ExitStack() as clients:
        port = server.getsockname()[1]
        for _ in range(50):
            client = clients.enter_context(a.open(socket.AF_INET, socket.SOCK_DGRAM))
            client.sendto(b"ping", server.getsockname())
            echo(server)
            client.recv(100)

    edge = seen.edge(port)
    assert (edge.client, edge.server, edge["opened"]) == ("a", "b", 50)
    assert (edge["tx_packets"], edge["rx_bytes"]) == (50, 200)


def test_loopback_of_two_namespaces_is_not_mixed_up(a: Host, b: Host, seen: Seen) -> None:
    """The same addresses and ports in both."""
    for host, times in ((a, 1), (b, 2)):
        with (
            host.open(socket.AF_INET, socket.SOCK_DGRAM) as server,
            host.open(socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            server.bind(("127.0.0.1", 7100))
            client.bind(("127.0.0.1", 7101))
            for _ in range(times):
                client.sendto(b"ping", ("127.0.0.1", 7100))
                echo(server)
                client.recv(100)

    first, second = seen.edges(7100)
    assert (first.client, first.server, first["tx_packets"]) == ("a", "a", 1)
    assert (second.client, second.server, second["tx_packets"]) == ("b", "b", 2)


def test_a_port_that_somebody_else_takes_over(a: Host, b: Host, seen: Seen) -> None:
    """Two workloads of one namespace, one after the other on the same port: each has its share."""
    with bound(b, socket.AF_INET) as server:
        port = server.getsockname()[1]
        for cgroup, times in ((a.cgroup, 2), (b.cgroup, 3)):
            with in_cgroup(cgroup), in_netns(a.netns):
                client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with client:
                client.bind((a.v4, 7102))
                for _ in range(times):
                    client.sendto(b"ping", server.getsockname())
                    echo(server)
                    client.recv(100)

    first, second = seen.edges(port)
    assert (first.client, first.server, first["opened"], first["tx_packets"]) == ("a", "b", 1, 2)
    assert (second.client, second.server, second["opened"], second["tx_packets"]) == (
        "b", "b", 1, 3,
    )  # fmt: skip


@FAMILIES
def test_a_client_from_outside(hosts: tuple[Host, Host], b: Host, seen: Seen, family: int) -> None:
    with bound(b, family) as server, in_netns(hosts[0].netns):
        port = server.getsockname()[1]
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.sendto(b"ping", server.getsockname())
            echo(server)
            assert client.recv(100) == b"PING"

    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.role) == ("world", "b", "server")
    assert (edge["tx_bytes"], edge["rx_bytes"]) == (4, 4)


@FAMILIES
def test_a_server_outside(hosts: tuple[Host, Host], a: Host, seen: Seen, family: int) -> None:
    outside = hosts[1]
    with in_netns(outside.netns):
        server = socket.socket(family, socket.SOCK_DGRAM)
        server.bind((outside.address(family), new_port()))
    with server, a.open(family, socket.SOCK_DGRAM) as client:
        port = server.getsockname()[1]
        client.sendto(b"ping", server.getsockname())
        echo(server)
        client.recv(100)

    edge = seen.edge(port)
    assert (edge.client, edge.server, edge.role) == ("a", outside.address(family), "client")


class Resolver:
    """A name server and a client of it, by hand."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server

    def ask(self, name: str, *, number: int, kind: str = "A") -> dnslib.DNSRecord:
        """Sends a query; returns it as the server got it."""
        question = dnslib.DNSRecord.question(name, kind)
        question.header.id = number
        self.client.sendto(question.pack(), self.server.getsockname())
        raw, self.sender = self.server.recvfrom(512)
        assert raw == question.pack()
        return question

    def answer(self, question: dnslib.DNSRecord, *zone: str, rcode: int = NOERROR) -> bytes:
        """Answers it; what the client got."""
        reply = question.reply()
        reply.header.rcode = rcode
        for line in zone:
            reply.add_answer(*dnslib.RR.fromZone(line))
        self.server.sendto(reply.pack(), self.sender)
        assert self.client.recv(512) == reply.pack()
        return bytes(reply.pack())


@pytest.fixture
def resolver(a: Host, b: Host, seen: Seen, family: int) -> Iterator[Resolver]:
    """Asked by a, answered by b."""
    with bound(b, family, port=53) as server, a.open(family, socket.SOCK_DGRAM) as client:
        yield Resolver(client, server)


def dns(seen: Seen) -> dict[int, int]:
    """rcode → queries, over all tests so far."""
    found: dict[int, int] = {}
    for one in seen.requests(53):
        assert (one.client, one.server, one.role, one.l7) == ("a", "b", "client", "dns")
        found[one.status] = found.get(one.status, 0) + one.requests
    return found


def gained(seen: Seen, before: dict[int, int]) -> dict[int, int]:
    return {
        rcode: n - before.get(rcode, 0) for rcode, n in dns(seen).items() if n != before.get(rcode)
    }


@FAMILIES
def test_an_answer_is_counted_and_handed_on(resolver: Resolver, seen: Seen, family: int) -> None:
    before, told = dns(seen), len(seen.answers())
    reply = resolver.answer(resolver.ask("a.example", number=7), "a.example 60 A 192.0.2.7")

    assert gained(seen, before) == {NOERROR: 1}
    (record,) = seen.answers()[told:]
    assert bytes(bytearray(record["message"]))[: int(record["len"])] == reply
    assert int(record["rcode"]) == NOERROR
    assert seen.edge(53).l7 == "dns"


@FAMILIES
def test_rcodes(resolver: Resolver, seen: Seen, family: int) -> None:
    before = dns(seen)
    for number, rcode in enumerate((NXDOMAIN, NXDOMAIN, SERVFAIL, 5)):
        resolver.answer(resolver.ask("b.example", number=number), rcode=rcode)

    assert gained(seen, before) == {NXDOMAIN: 2, SERVFAIL: 1, 5: 1}


@FAMILIES
def test_two_queries_at_once_from_one_socket(resolver: Resolver, seen: Seen, family: int) -> None:
    """As glibc asks for A and AAAA; the second is answered first."""
    before = dns(seen)
    four = resolver.ask("c.example", number=1)
    six = resolver.ask("c.example", number=2, kind="AAAA")
    resolver.answer(six, "c.example 60 AAAA 2001:db8::7")
    resolver.answer(four, "c.example 60 A 192.0.2.7")

    assert gained(seen, before) == {NOERROR: 2}


@FAMILIES
def test_a_query_repeated_and_an_answer_repeated(
    resolver: Resolver, seen: Seen, family: int
) -> None:
    before = dns(seen)
    resolver.ask("d.example", number=9)
    question = resolver.ask("d.example", number=9)
    resolver.answer(question)
    resolver.answer(question)

    assert gained(seen, before) == {NOERROR: 1}


@FAMILIES
def test_unanswered_queries(resolver: Resolver, seen: Seen, family: int) -> None:
    """There is room for four; the fifth gives the first up. The others when they fall idle."""
    before = dns(seen)
    for number in range(5):
        resolver.ask("e.example", number=number)
    assert gained(seen, before) == {UNANSWERED: 1}

    let_time_pass(seen, port=resolver.client.getsockname()[1])
    assert gained(seen, before) == {UNANSWERED: 5}


def let_time_pass(seen: Seen, *, port: int) -> None:
    """Makes a conversation of ours old enough to be swept."""
    keys, values = seen.plane.dump("um_udp")
    ours = (keys["local_port"] == port) | (keys["remote_port"] == port)
    values["last_ns"][ours] = 1
    seen.plane.insert("um_udp", keys[ours], values[ours], exist="any")
    seen.plane.sweep_udp()
    keys, _ = seen.plane.dump("um_udp")
    assert not np.any((keys["local_port"] == port) | (keys["remote_port"] == port))


@FAMILIES
def test_what_is_no_dns_on_port_53(resolver: Resolver, seen: Seen, family: int) -> None:
    before, bad = dns(seen), seen.stat("answers_malformed")
    resolver.client.sendto(b"short", resolver.server.getsockname())
    resolver.server.recv(100)
    resolver.client.sendto(b"", resolver.server.getsockname())
    resolver.server.recv(100)

    assert gained(seen, before) == {}
    assert seen.stat("answers_malformed") == bad + 2


def test_idle_conversations_end_as_flows_and_count_once(a: Host, b: Host, seen: Seen) -> None:
    with bound(b, socket.AF_INET) as server, a.open(socket.AF_INET, socket.SOCK_DGRAM) as client:
        port = server.getsockname()[1]
        client.sendto(b"ping", server.getsockname())
        echo(server)
        client.recv(100)
        (flow,) = (record for record in seen.plane.sweep_udp() if record["port"] == port)
        assert address(flow["server_address"]) == b.v4
        assert (int(flow["tx_bytes"]), int(flow["rx_bytes"])) == (4, 4)
        let_time_pass(seen, port=port)
        client.sendto(b"again", server.getsockname())
        echo(server)
        client.recv(100)

    edge = seen.edge(port)
    assert (edge["opened"], edge["tx_bytes"], edge["rx_bytes"]) == (2, 9, 9)
