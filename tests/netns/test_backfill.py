# SPDX-License-Identifier: Apache-2.0
"""Sockets older than the data plane: they have owners and ends, and are read from now on."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.netns.conftest import observe
from tests.netns.hosts import Host, exchange, in_netns, receive
from tests.netns.seeing import Seen

GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """A listener and an accepted connection, with some talk behind them."""

    door: socket.socket
    client: socket.socket
    server: socket.socket

    @property
    def port(self) -> int:
        """The server's."""
        return int(self.door.getsockname()[1])


@pytest.fixture(scope="module")
def old(hosts: tuple[Host, Host]) -> Iterator[dict[str, Old]]:
    """Connections made before anything observes."""
    a, b = hosts
    with contextlib.ExitStack() as undo:
        made = {}
        for name in ("v4", "v6", "upload", "asked", "outside", "plain", "reset"):
            family = socket.AF_INET6 if name == "v6" else socket.AF_INET
            door = undo.enter_context(b.listen(family))
            if name == "outside":
                with in_netns(a.netns):
                    client = socket.create_connection(door.getsockname()[:2], timeout=10)
            else:
                client = a.connect(door)
            server, _ = door.accept()
            server.settimeout(10)
            undo.enter_context(client)
            undo.enter_context(server)
            made[name] = Old(door=door, client=client, server=server)
            exchange(client, server, request=GET, answer=OK)
        yield made


@pytest.fixture(scope="module")
def seen(old: dict[str, Old], scope: Path) -> Iterator[Seen]:
    """A data plane that starts amid all that: one connection is uploading, one waits for its
    answer."""
    made = old["upload"]
    made.client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + b"u" * 1000)
    old["asked"].client.sendall(GET)
    yield from observe(scope)


@pytest.mark.parametrize("name", ["v4", "v6"])
def test_both_ends_of_an_old_connection_are_one_edge(
    old: dict[str, Old], seen: Seen, name: str
) -> None:
    one = old[name]
    for _ in range(2):
        exchange(one.client, one.server, request=GET, answer=OK)

    edge = seen.edge(one.port)
    assert (edge.client, edge.server, edge.role, edge.l7) == ("a", "b", "client", "http1")
    assert (edge["tx_bytes"], edge["rx_bytes"]) == (2 * len(GET), 2 * len(OK))
    assert edge["desyncs"] == 0
    assert seen.counts(one.port) == {("GET", 200): 2}
    (flow,) = seen.open_flows(one.port)
    assert (int(flow["tx_bytes"]), int(flow["rx_bytes"])) == (2 * len(GET), 2 * len(OK))
    one.client.close()
    one.server.close()
    edge = seen.edge(one.port)
    assert (edge["opened"], edge["closed"], edge["resets"]) == (1, 1, 0)


def test_an_old_listener_has_an_owner_and_new_connections_pair_up(
    hosts: tuple[Host, Host], old: dict[str, Old], seen: Seen
) -> None:
    door = old["plain"].door
    with hosts[0].connect(door) as client, door.accept()[0] as server:
        server.settimeout(10)
        exchange(client, server, request=GET, answer=OK)

    edge = seen.edge(door.getsockname()[1])
    assert (edge.client, edge.server, edge.role) == ("a", "b", "client")
    assert seen.counts(door.getsockname()[1]) == {("GET", 200): 1}


def test_an_upload_under_way_is_read_from_the_next_request_on(
    old: dict[str, Old], seen: Seen
) -> None:
    one = old["upload"]
    one.client.sendall(b"u" * 1000)
    receive(one.server, 2000)
    one.server.sendall(OK)
    receive(one.client, len(OK))
    receive(one.server, len(b"POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n"))
    exchange(one.client, one.server, request=GET, answer=OK)

    assert seen.counts(one.port) == {("GET", 200): 1}
    assert seen.edge(one.port)["desyncs"] == 0


def test_the_answer_to_an_old_request_is_not_taken_for_one_to_a_new(
    old: dict[str, Old], seen: Seen
) -> None:
    one = old["asked"]
    receive(one.server, len(GET))
    one.server.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    receive(one.client, len(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"))
    exchange(one.client, one.server, request=GET, answer=OK)

    assert seen.counts(one.port) == {("GET", 200): 1}


def test_an_old_connection_from_outside(old: dict[str, Old], seen: Seen) -> None:
    one = old["outside"]
    exchange(one.client, one.server, request=GET, answer=OK)

    edge = seen.edge(one.port)
    assert (edge.client, edge.server, edge.role) == ("world", "b", "server")
    assert seen.counts(one.port) == {("GET", 200): 1}


def test_an_old_connection_that_is_reset(old: dict[str, Old], seen: Seen) -> None:
    one = old["reset"]
    exchange(one.client, one.server, request=GET, answer=OK)
    one.client.sendall(GET)
    receive(one.server, 1)
    one.server.close()  # with data unread: a reset
    with pytest.raises(ConnectionResetError):
        one.client.recv(1)

    assert seen.counts(one.port) == {("GET", 200): 1, ("GET", 0): 1}
    assert seen.edge(one.port)["resets"] == 1
