# SPDX-License-Identifier: Apache-2.0
"""Names of services in every network namespace, and everything else as if nobody were there."""

import contextlib
import http.server
import os
import shutil
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import dnslib
import pytest

from tests.netns.hosts import Host, in_cgroup, in_netns, new_port, receive, run
from tests.netns.resolvers import Resolver, resolving, responding
from tests.netns.seeing import Seen, eventually
from undermesh.kernel.names import NameCapture
from undermesh.model.names import NameEntry
from undermesh.model.service import ServiceName, ServicePort

CART4, CART6 = ip_address("198.18.0.7"), ip_address("fd00:756d:6573:6800::c612:7")
ENTRIES = (
    NameEntry(
        service=ServiceName("shop", "cart"),
        addresses=(CART4, CART6),
        ports=(ServicePort(name="http", port=80, target=8080),),
    ),
    NameEntry(service=ServiceName("default", "web"), addresses=(ip_address("10.99.0.2"),)),
    NameEntry(service=ServiceName("shop", "away"), external="www.example.com"),
)
FIRST, SECOND, SIX = "10.99.0.2", "10.99.0.3", "fd99::2"
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
IP_UNICAST_IF, IPV6_UNICAST_IF = 50, 76


@pytest.fixture(scope="module")
def resolvers(hosts: tuple[Host, Host]) -> Iterator[dict[str, Resolver]]:
    """Three of them on b, nobody observes b's side."""
    _, b = hosts
    run("ip", "-n", b.netns, "address", "add", f"{SECOND}/24", "dev", "eth0")
    found = {
        FIRST: Resolver(FIRST, "192.0.2.1"),
        SECOND: Resolver(SECOND, "192.0.2.2"),
        SIX: Resolver(SIX, "192.0.2.6"),
    }
    with resolving(b, *found.values()):
        yield found


@pytest.fixture(scope="module")
def capture(seen: Seen) -> NameCapture:
    """The kernel's side."""
    return NameCapture(seen.plane)


@pytest.fixture(scope="module")
def responder(
    seen: Seen, scope: Path, hosts: tuple[Host, Host], resolvers: dict[str, Resolver]
) -> Iterator[int]:
    """A responder in both namespaces."""
    with responding(seen, scope, hosts, ENTRIES) as pid:
        yield pid


def query(name: str, kind: str = "A", *, number: int = 0) -> bytes:
    question = dnslib.DNSRecord.question(name, kind)
    question.header.id = number or 4711
    return bytes(question.pack())


def parsed(data: bytes) -> dnslib.DNSRecord:
    return dnslib.DNSRecord.parse(data)


def told(data: bytes) -> list[str]:
    return [str(record.rdata) for record in parsed(data).rr]


def ask(host: Host, to: str, data: bytes, *, connected: bool = True) -> tuple[bytes, str]:
    """The answer, and from whom it came as the application sees it."""
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    with host.open(family, socket.SOCK_DGRAM) as client:
        if connected:
            client.connect((to, 53))
            assert client.getpeername()[:2] == (to, 53)
            client.send(data)
        else:
            client.sendto(data, (to, 53))
        answer, sender = client.recvfrom(65535)
    assert sender[1] == 53
    return answer, sender[0]


CONNECTED = pytest.mark.parametrize("connected", [True, False], ids=["connected", "unconnected"])
RESOLVERS = pytest.mark.parametrize("to", [FIRST, SIX], ids=["v4", "v6"])


@RESOLVERS
@CONNECTED
def test_a_service_by_udp(a: Host, responder: int, to: str, connected: bool) -> None:
    answer, sender = ask(a, to, query("cart.shop"), connected=connected)

    assert sender == to
    assert told(answer) == [str(CART4)]
    assert told(ask(a, to, query("cart.shop.svc.mesh", "AAAA"))[0]) == [str(CART6)]


@RESOLVERS
def test_all_else_unharmed(
    a: Host, responder: int, resolvers: dict[str, Resolver], to: str
) -> None:
    """Byte for byte, there and back, also what is no DNS at all."""
    for data in (query("www.example.com"), query("cart.example.com", "TXT"), b"\xffno dns at all"):
        answer, sender = ask(a, to, data)
        assert (resolvers[to].got[-1], resolvers[to].sent[-1], sender) == (data, answer, to)


def test_two_resolvers_by_one_socket(a: Host, responder: int) -> None:
    """Each answer shows the resolver it was asked of; ours among them."""
    with a.open(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for number, (name, to) in enumerate(
            [("x.example", FIRST), ("x.example", SECOND), ("cart.shop", SECOND)], 1
        ):
            client.sendto(query(name, number=number), (to, 53))
        came = {}
        for _ in range(3):
            data, sender = client.recvfrom(512)
            came[parsed(data).header.id] = (sender, told(data))

    assert came == {
        1: ((FIRST, 53), ["192.0.2.1"]),
        2: ((SECOND, 53), ["192.0.2.2"]),
        3: ((SECOND, 53), [str(CART4)]),
    }


def test_both_families_by_one_socket(a: Host, responder: int) -> None:
    """An IPv6 socket asks IPv4 resolvers by their mapped address."""
    with a.open(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        for to, says in ((f"::ffff:{FIRST}", "192.0.2.1"), (SIX, "192.0.2.6")):
            client.sendto(query("x.example"), (to, 53))
            data, sender = client.recvfrom(512)
            assert (sender[:2], told(data)) == ((to, 53), [says])
    with a.open(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.connect((f"::ffff:{FIRST}", 53))
        client.send(query("cart.shop"))
        assert told(client.recv(512)) == [str(CART4)]
        assert client.getpeername()[:2] == (f"::ffff:{FIRST}", 53)


@RESOLVERS
def test_by_tcp(a: Host, responder: int, resolvers: dict[str, Resolver], to: str) -> None:
    """Ours and others on one connection; a zone transfer of several messages."""
    family = socket.AF_INET6 if ":" in to else socket.AF_INET

    def say(data: bytes) -> None:
        client.sendall(len(data).to_bytes(2, "big") + data)

    def hear() -> bytes:
        return receive(client, int.from_bytes(receive(client, 2), "big"))

    with a.open(family) as client:
        client.connect((to, 53))
        assert client.getpeername()[:2] == (to, 53)
        say(query("cart.shop.svc.mesh"))
        assert told(hear()) == [str(CART4)]
        say(query("x.example"))
        assert hear() == resolvers[to].sent[-1]
        say(query("example", "AXFR"))
        assert [hear() for _ in range(3)] == resolvers[to].sent[-3:]


def test_no_and_never_heard_of_it(a: Host, responder: int) -> None:
    nothing = parsed(ask(a, FIRST, query("nobody.shop.svc.mesh"))[0])
    assert nothing.header.rcode == NXDOMAIN
    assert [str(record.rname) for record in nothing.auth] == ["svc.mesh."]
    empty = parsed(ask(a, FIRST, query("cart.shop", "TXT"))[0])
    assert (empty.header.rcode, len(empty.auth)) == (NOERROR, 1)


def test_an_alias_is_followed_to_its_end(a: Host, responder: int) -> None:
    assert told(ask(a, SECOND, query("away.shop"))[0]) == ["www.example.com.", "192.0.2.2"]


def test_a_resolver_that_is_not_there(a: Host, responder: int) -> None:
    """The other host says so; an asker that hears SERVFAIL tries its next resolver at once."""
    answer, _ = ask(a, "10.99.0.2", query("x.example"))
    assert parsed(answer).header.rcode == NOERROR
    answer, sender = ask(a, a.v4, query("x.example"))
    assert (parsed(answer).header.rcode, sender) == (SERVFAIL, a.v4)


@contextlib.contextmanager
def resolv_conf(host: Host, *lines: str) -> Iterator[None]:
    """What `ip netns exec` shows as /etc/resolv.conf."""
    directory = Path("/etc/netns") / host.netns
    made = not directory.parent.exists()
    directory.mkdir(parents=True)
    try:
        (directory / "resolv.conf").write_text("\n".join(lines) + "\n")
        yield
    finally:
        shutil.rmtree(directory)
        if made:
            directory.parent.rmdir()


def inside(host: Host, *command: str) -> str:
    """A program of that host's workload."""
    with in_cgroup(host.cgroup):
        return host.run(*command)


LOOK_UP = (
    "import socket, sys; print(*sorted({a[4][0] for a in socket.getaddrinfo(sys.argv[1], 80)}))"
)


def test_glibc(a: Host, responder: int) -> None:
    with resolv_conf(a, f"nameserver {FIRST}", "search shop.svc.cluster.local"):
        for name in ("cart", "cart.shop", "cart.shop.svc.mesh"):
            found = inside(a, "python3", "-c", LOOK_UP, name).split()
            assert set(found) == {str(CART4), str(CART6)}
        assert inside(a, "python3", "-c", LOOK_UP, "other.example").split() == ["192.0.2.1"]
    with resolv_conf(a, f"nameserver {SIX}", "options use-vc"):
        assert str(CART4) in inside(a, "python3", "-c", LOOK_UP, "cart.shop").split()


def test_curl_by_name(hosts: tuple[Host, Host], a: Host, responder: int) -> None:
    port = new_port()
    with in_netns(hosts[1].netns):
        server = http.server.HTTPServer((FIRST, port), http.server.SimpleHTTPRequestHandler)
    with server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with resolv_conf(a, f"nameserver {FIRST}"):
            status = inside(a, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-I",
                            f"http://web:{port}/")  # fmt: skip
        thread.join()
    assert status == "200"


def test_each_namespace_by_itself(b: Host, responder: int) -> None:
    """b has no way to a's responder, and needs none."""
    assert told(ask(b, FIRST, query("cart.shop"))[0]) == [str(CART4)]


def test_bound_sockets(a: Host, responder: int) -> None:
    with a.open(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((a.v4, 0))
        client.sendto(query("cart.shop"), (FIRST, 53))
        data, sender = client.recvfrom(512)
        assert (told(data), sender) == ([str(CART4)], (FIRST, 53))
    with a.open(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
        client.sendto(query("cart.shop"), (FIRST, 53))
        assert told(client.recv(512)) == ["192.0.2.1"], "bound to a device: goes where it was sent"


@RESOLVERS
@CONNECTED
def test_sockets_that_send_by_one_device(a: Host, responder: int, to: str, connected: bool) -> None:
    """systemd-resolved's own queries: the responder cannot be reached by that device."""
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    option = (socket.IPPROTO_IP, IP_UNICAST_IF)
    if family == socket.AF_INET6:
        option = (socket.IPPROTO_IPV6, IPV6_UNICAST_IF)
    with in_netns(a.netns):
        device = socket.if_nametoindex("eth0")
    with a.open(family, socket.SOCK_DGRAM) as client:
        client.setsockopt(*option, struct.pack("!I", device))
        if connected:
            client.connect((to, 53))
            client.send(query("cart.shop"))
        else:
            client.sendto(query("cart.shop"), (to, 53))
        data, sender = client.recvfrom(512)
    assert (told(data)[0][:8], sender[:2]) == ("192.0.2.", (to, 53))


def test_an_exempt_cgroup(a: Host, responder: int, capture: NameCapture) -> None:
    """A resolver's own queries. Told by the cgroup of who asks, not of who made the socket."""
    capture.exempt([a.cgroup.stat().st_ino])
    try:
        with a.open(socket.AF_INET, socket.SOCK_DGRAM) as client:
            with in_cgroup(a.cgroup):
                client.sendto(query("cart.shop"), (FIRST, 53))
            assert told(client.recv(512)) == ["192.0.2.1"]
    finally:
        capture.exempt([])
    assert told(ask(a, FIRST, query("cart.shop"))[0]) == [str(CART4)]


def test_nobody_outside_can_ask(hosts: tuple[Host, Host], seen: Seen, responder: int) -> None:
    a, b = hosts
    with in_netns(b.netns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect((a.v4, NameCapture(seen.plane).port))
        client.send(query("cart.shop"))
        with pytest.raises(ConnectionRefusedError):
            client.recv(512)


def test_rows_show_what_was_asked(a: Host, seen: Seen, responder: int) -> None:
    before = {row.status: row.requests for row in rows(seen)}
    ask(a, FIRST, query("cart.shop"))
    ask(a, FIRST, query("y.example"))
    ask(a, FIRST, query("nobody.shop.svc.mesh"))

    after = {row.status: row.requests for row in rows(seen)}
    assert after[NOERROR] - before.get(NOERROR, 0) == 2
    assert after[NXDOMAIN] - before.get(NXDOMAIN, 0) == 1
    ends = {(edge.client, edge.server) for edge in seen.edges(53) if edge.role == "client"}
    assert ("a", FIRST) in ends
    assert not seen.edges(NameCapture(seen.plane).port), "nor is the responder's own end shown"


def rows(seen: Seen):
    return [row for row in seen.requests(53) if (row.client, row.server) == ("a", FIRST)]


def test_slots_run_out(a: Host, seen: Seen, responder: int) -> None:
    """Then a resolver nobody has asked before is asked as if we were not there, and counted."""
    before, used = seen.stat("names_full"), seen.plane.maps["um_dns_used"]
    kept = [int(used.lookup(family)) for family in (0, 1)]
    used.insert([0, 1], [1 << 20, 1 << 20])
    try:
        with a.open(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("10.99.0.77", 53))
        with a.open(socket.AF_INET6, socket.SOCK_DGRAM) as client:
            client.connect(("fd99::77", 53))
        assert seen.stat("names_full") == before + 2
        assert told(ask(a, FIRST, query("cart.shop"))[0]) == [str(CART4)], "a slot given stays"
    finally:
        used.insert([0, 1], kept)


def test_lo_down_passes_through(a: Host, responder: int, capture: NameCapture) -> None:
    ip = ("ip", "-n", a.netns, "link", "set", "lo")
    served = len(capture.published())
    run(*ip, "down")
    try:
        eventually(lambda: len(capture.published()) == served - 1)
        assert told(ask(a, FIRST, query("cart.shop"))[0]) == ["192.0.2.1"]
    finally:
        run(*ip, "up")
    eventually(lambda: len(capture.published()) == served)
    assert told(ask(a, FIRST, query("cart.shop"))[0]) == [str(CART4)]


def test_the_responder_is_killed(a: Host, seen: Seen, responder: int, capture: NameCapture) -> None:
    """From the next query on everybody asks the resolver again. Tests below have their own."""
    with a.open(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(query("cart.shop"), (FIRST, 53))
        assert told(client.recv(512)) == [str(CART4)]
        os.kill(responder, signal.SIGKILL)
        os.waitpid(responder, 0)
        client.sendto(query("cart.shop"), (FIRST, 53))
        data, sender = client.recvfrom(512)

    assert (told(data), sender) == (["192.0.2.1"], (FIRST, 53))
    assert not capture.published()
    assert seen.stat("names_stale") == 0
    with a.open(socket.AF_INET) as client:
        client.connect((SECOND, 53))
        message = query("x.example")
        client.sendall(len(message).to_bytes(2, "big") + message)
        assert told(receive(client, int.from_bytes(receive(client, 2), "big"))) == ["192.0.2.2"]


def test_another_instance_has_the_port(
    seen: Seen, scope: Path, hosts: tuple[Host, Host], a: Host, resolvers: dict[str, Resolver]
) -> None:
    """Then ours is another one, and nobody notices."""
    usual = NameCapture(seen.plane).port
    with contextlib.ExitStack() as undo:
        with contextlib.suppress(OSError):  # it is taken here already
            taken = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            taken.bind(("127.0.0.1", usual))
        with responding(seen, scope, hosts, ENTRIES):
            assert NameCapture(seen.plane).port != usual
            assert told(ask(a, FIRST, query("cart.shop"))[0]) == [str(CART4)]
            assert told(ask(a, SIX, query("cart.shop"))[0]) == [str(CART4)]
            assert told(ask(a, SIX, query("x.example"))[0]) == ["192.0.2.6"]
