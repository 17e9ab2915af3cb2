# SPDX-License-Identifier: Apache-2.0
"""Maps and rings of a few entries: what is in them stays, what does not fit is counted as such."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.conftest import observe
from tests.netns.hosts import Host, exchange, new_port
from tests.netns.seeing import Seen

GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"


@pytest.fixture(scope="module")
def seen(hosts: tuple[Host, Host], scope: Path) -> Iterator[Seen]:
    """A data plane with next to no room."""
    sizes = dict.fromkeys(("um_series", "um_edges", "um_udp", "um_peers", "um_pairs"), 2)
    sizes |= {"um_listeners": 1, "um_flows": 4096, "um_samples": 4096}
    yield from observe(scope, sizes=sizes, shards=1)


def answer(status: int) -> bytes:
    return b"HTTP/1.1 %d .\r\nContent-Length: 0\r\n\r\n" % status


def test_everything_full_at_once(a: Host, b: Host, seen: Seen) -> None:
    with b.listen() as door, a.connect(door) as client, door.accept()[0] as server:
        port = door.getsockname()[1]
        for status in (200, 201, 202, 203, 200, 201, 202, 203):
            exchange(client, server, request=GET, answer=answer(status))

    assert seen.counts(port) == {("GET", 200): 2, ("GET", 201): 2}
    assert seen.stat("series_full") >= 4


def test_a_full_edge_map_keeps_its_edges(a: Host, b: Host, seen: Seen) -> None:
    before = seen.stat("edges_full")
    doors = [b.listen() for _ in range(4)]
    for _ in range(2):
        for door in doors:
            with a.connect(door) as client, door.accept()[0] as server:
                exchange(client, server, request=b"x\r\n", answer=b"y")
    ports = [door.getsockname()[1] for door in doors]
    for door in doors:
        door.close()

    keys, values = seen.plane.dump("um_edges")
    assert len(keys) == 2
    assert seen.stat("edges_full") > before
    kept = [int(port) for port in keys["port"] if int(port) in ports]
    for port in kept:
        assert int(values["closed"][keys["port"] == port].sum()) == 2
    assert seen.stat("listeners_full") >= 3


def test_a_full_ring_keeps_the_oldest(a: Host, b: Host, seen: Seen) -> None:
    seen.plane.drain("um_flows")
    before = seen.stat("flows_ring_full")
    with b.listen() as door:
        port = door.getsockname()[1]
        for number in range(40):
            with a.connect(door) as client, door.accept()[0] as server:
                exchange(client, server, request=b"x" * (number + 1), answer=b"y")

    flows = seen.flows(port)
    lost = seen.stat("flows_ring_full") - before
    assert len(flows) + lost == 40
    assert lost > 0
    assert [int(size) for size in flows["tx_bytes"]] == list(range(1, len(flows) + 1))


def test_connections_whose_pair_has_no_room_are_seen_from_both_ends(
    a: Host, b: Host, seen: Seen
) -> None:
    """Said to be lost, not silently counted twice."""
    before = seen.stat("pairs_full")
    with b.listen() as door:
        made = [(a.connect(door), door.accept()[0]) for _ in range(4)]
        for client, server in made:
            exchange(client, server, request=GET, answer=answer(200))
        for client, server in made:
            client.close()
            server.close()

    assert seen.stat("pairs_full") == before + 2
    keys, _ = seen.plane.dump("um_pairs")
    assert len(keys) == 0


def test_udp_conversations_beyond_the_map(a: Host, b: Host, seen: Seen) -> None:
    with b.open(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((b.v4, new_port()))
        for _ in range(5):
            with a.open(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"ping", server.getsockname())
                server.recv(100)

    keys, values = seen.plane.dump("um_udp")
    assert len(keys) == 2
    assert values["sent_packets"].sum() + values["received_packets"].sum() >= 2
    assert seen.stat("udp_full") >= 8
