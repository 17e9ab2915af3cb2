# SPDX-License-Identifier: Apache-2.0
"""Which backend it is: by weight, by caller, by load, by latency, by habit."""

import contextlib
import itertools
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.hosts import Host, in_cgroup, in_netns, new_port, receive
from tests.netns.services import (
    EVEN,
    LEAST_LATENCY,
    LEAST_LOADED,
    MAGLEV,
    UDP,
    UNLIKELY,
    Services,
    chi_square,
    vip,
)

GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def associate(to: tuple[str, int], times: int) -> None:
    """Connects UDP sockets: a choice each, and nothing is sent."""
    for _ in range(times):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(to)


@pytest.fixture
def callers(scope: Path) -> Iterator[list[Path]]:
    """Cgroups within what is observed."""
    made = [scope / f"caller-{number}" for number in range(120)]
    for path in made:
        path.mkdir()
    yield made
    for path in made:
        path.rmdir()


class Fleet:
    """Backends of one UDP service; nobody needs to answer."""

    def __init__(self, a: Host, services: Services, count: int) -> None:
        self.service, self.where, self.services = services.new_id(), vip(), services
        self.numbers = [
            services.backend("10.99.0.2", 9, service=self.service) for _ in range(count)
        ]
        self.to = (self.where, 80)
        self._before = [0] * count

    def put(self, columns: list[int] | list[tuple[int, int, int]], **how: int) -> None:
        self.services.put(self.where, 80, columns, service=self.service, l4=UDP, **how)

    def new(self) -> list[int]:
        """Connections since the last call, by backend."""
        now = self.services.connects(*self.numbers)
        before, self._before = self._before, now
        return [n - b for n, b in zip(now, before, strict=True)]


def test_evenly(a: Host, services: Services) -> None:
    fleet = Fleet(a, services, 5)
    fleet.put(fleet.numbers)
    with a.inside():
        associate(fleet.to, 5000)
    assert chi_square(fleet.new(), [1] * 5) < UNLIKELY[4]


def test_ninety_to_ten_in_one_column(a: Host, services: Services) -> None:
    """By the threshold; then changed, in force from the next connect() on."""
    fleet = Fleet(a, services, 2)
    one, two = fleet.numbers
    for share in (0.9, 0.1, 0.5):
        fleet.put([(one, two, round(share * EVEN))])
        with a.inside():
            associate(fleet.to, 4000)
        assert chi_square(fleet.new(), [share, 1 - share]) < UNLIKELY[1]


def test_weights_by_walker(a: Host, services: Services) -> None:
    """1 : 2 : 3 : 4 in four columns: 0.4, 0.8, 1 and 0.8 of a column are their owners'."""
    fleet = Fleet(a, services, 4)
    one, two, three, four = fleet.numbers
    fleet.put(
        [
            (one, four, round(0.4 * EVEN)),
            (two, three, round(0.8 * EVEN)),
            (three, three, EVEN),
            (four, four, EVEN),
        ]
    )
    with a.inside():
        associate(fleet.to, 5000)
    assert chi_square(fleet.new(), [0.4, 0.8, 1.2, 1.6]) < UNLIKELY[3]


def test_ninety_to_ten_over_tcp(a: Host, b: Host, services: Services) -> None:
    where, service = vip(), services.new_id()
    with b.listen() as main, b.listen() as canary:
        numbers = [services.backend(*d.getsockname(), service=service) for d in (main, canary)]
        services.put(where, 80, [(numbers[0], numbers[1], round(0.9 * EVEN))], service=service)
        main.setblocking(False)
        canary.setblocking(False)
        with a.inside():
            for _ in range(1500):
                socket.create_connection((where, 80), timeout=5).close()
                for door in (main, canary):
                    with contextlib.suppress(BlockingIOError):
                        door.accept()[0].close()
        assert chi_square(services.connects(*numbers), [0.9, 0.1]) < UNLIKELY[1]


def test_what_is_unusable_is_passed_over(a: Host, services: Services) -> None:
    """Before user space has laid the columns anew; by every way of balancing."""
    for balancing in (0, MAGLEV, LEAST_LOADED, LEAST_LATENCY):
        fleet = Fleet(a, services, 4)
        fleet.put(fleet.numbers, balancing=balancing)
        services.tables.set_usable(fleet.numbers[1:], False)
        with a.inside():
            associate(fleet.to, 100)
        assert fleet.new() == [100, 0, 0, 0]
        services.tables.set_usable(fleet.numbers[1:2], True)
        services.tables.set_usable(fleet.numbers[:1], False)
        with a.inside():
            associate(fleet.to, 10)
        assert fleet.new() == [0, 10, 0, 0]


def test_least_loaded(a: Host, services: Services) -> None:
    """Connections that stay: the power of two choices holds them within a few of each other."""
    fleet = Fleet(a, services, 8)
    fleet.put(fleet.numbers, balancing=LEAST_LOADED)
    with a.inside(), contextlib.ExitStack() as stack:
        for _ in range(800):
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            client.connect(fleet.to)
        loads = services.open(*fleet.numbers)
    assert sum(loads) == 800
    assert max(loads) - min(loads) <= 8
    assert services.open(*fleet.numbers) == [0] * 8


def test_least_latency(a: Host, b: Host, services: Services) -> None:
    """The slow one gets those connections for which it was drawn twice: a quarter."""
    where, service = vip(), services.new_id()
    with b.listen() as quick, b.listen() as slow:
        doors = {door.getsockname()[1]: door for door in (quick, slow)}
        numbers = [services.backend(*d.getsockname(), service=service) for d in (quick, slow)]
        services.put(where, 80, numbers, service=service, balancing=LEAST_LATENCY)
        for door in doors.values():
            door.setblocking(False)
        slow_port, counts = slow.getsockname()[1], Counter[int]()
        for _ in range(80):
            with a.open(socket.AF_INET) as client:
                client.connect((where, 80))
                server, port = _accepted(doors)
                with server:
                    client.sendall(GET)
                    assert receive(server, len(GET)) == GET
                    time.sleep(0.02 if port == slow_port else 0.001)
                    server.sendall(OK)
                    assert receive(client, len(OK)) == OK
                counts[port] += 1
        quick_ns, slow_ns = (int(services.load(n)["ewma_ns"]) for n in numbers)
    assert 1 <= counts[slow_port] <= 38
    assert 1e6 < quick_ns < slow_ns


def _accepted(doors: dict[int, socket.socket]) -> tuple[socket.socket, int]:
    for port, door in itertools.cycle(doors.items()):
        with contextlib.suppress(BlockingIOError):
            server, _ = door.accept()
            server.setblocking(True)
            return server, port
    raise AssertionError("nobody came")


def test_maglev_is_the_same_for_a_caller(
    a: Host, b: Host, services: Services, callers: list[Path]
) -> None:
    """All sockets of one workload in one namespace go to one backend; workloads spread."""
    fleet = Fleet(a, services, 4)
    fleet.put(fleet.numbers * 101, balancing=MAGLEV)
    before = _places(fleet, a, callers)
    assert _places(fleet, a, callers) == before
    assert chi_square([before.count(at) for at in range(4)], [1] * 4) < UNLIKELY[3]
    elsewhere = _places(fleet, b, callers[:40])
    assert elsewhere != before[:40]


def test_maglev_moves_only_who_has_to(a: Host, services: Services, callers: list[Path]) -> None:
    """A backend that may not be used any more: its callers go elsewhere, all others stay."""
    fleet = Fleet(a, services, 4)
    fleet.put(fleet.numbers * 101, balancing=MAGLEV)
    before = _places(fleet, a, callers)
    services.tables.set_usable(fleet.numbers[2:3], False)
    after = _places(fleet, a, callers)
    assert 2 in before
    assert 2 not in after
    assert [at for at, was in zip(after, before, strict=True) if was != 2] == [
        was for was in before if was != 2
    ]


def _places(fleet: Fleet, host: Host, callers: list[Path]) -> list[int]:
    """Which backend each caller is given, by two sockets of each."""
    found = []
    for caller in callers:
        fleet.new()
        with in_cgroup(caller), in_netns(host.netns):
            associate(fleet.to, 2)
        found.append(fleet.new().index(2))
    return found


def test_affinity_and_its_time_out(a: Host, b: Host, services: Services) -> None:
    """A caller stays with a backend until it has not asked for a second; another has its own."""
    fleet = Fleet(a, services, 64)
    fleet.put(fleet.numbers, affinity_s=1)
    seen = set()
    for _ in range(3):
        with a.inside():
            associate(fleet.to, 5)
        counts = fleet.new()
        assert max(counts) == 5
        seen.add(counts.index(5))
        time.sleep(0.6)
    assert len(seen) == 1, "it asked again each time before it was forgotten"
    for _ in range(4):
        time.sleep(1.1)
        with a.inside():
            associate(fleet.to, 1)
        seen.add(fleet.new().index(1))
    assert len(seen) > 1


def test_affinity_lets_go_of_what_is_unusable(a: Host, services: Services) -> None:
    fleet = Fleet(a, services, 8)
    fleet.put(fleet.numbers, affinity_s=60)
    with a.inside():
        associate(fleet.to, 3)
        had = fleet.new().index(3)
        services.tables.set_usable([fleet.numbers[had]], False)
        associate(fleet.to, 3)
        has = fleet.new().index(3)
        services.tables.set_usable([fleet.numbers[had]], True)
        associate(fleet.to, 3)
    assert has != had
    assert fleet.new().index(3) == has


def test_affinity_is_of_a_port(a: Host, services: Services) -> None:
    """Two ports of one service have backends of their own."""
    service, where = services.new_id(), vip()
    numbers = [services.backend("10.99.0.2", new_port(), service=service) for _ in range(2)]
    for port, number in zip((80, 81), numbers, strict=True):
        services.put(where, port, [number], service=service, l4=UDP, affinity_s=60)
    with a.inside():
        for port in (80, 81, 80):
            associate((where, port), 1)
    assert services.connects(*numbers) == [2, 1]
