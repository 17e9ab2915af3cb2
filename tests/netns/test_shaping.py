# SPDX-License-Identifier: Apache-2.0
"""HTB on a real device: what is there, which class a packet goes to, what is left afterwards."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.netns.hosts import Host, exchange, in_netns
from tests.netns.seeing import Seen
from undermesh.host import htb
from undermesh.host.errors import DeviceMissing, QdiscTaken
from undermesh.host.shaping import Shaper
from undermesh.kernel import priorities
from undermesh.model.priority import Mark, Marked, Shape, TrafficClass, class_id
from undermesh.model.service import Level

LEVELS = tuple(TrafficClass(id=class_id(level), level=level) for level in Level)
CRITICAL, NORMAL, BULK = (one.id for one in LEVELS)
OWN = TrafficClass(
    id=class_id(Level.BULK, 77),
    level=Level.BULK,
    rate=8_000_000,
    ceiling=40_000_000,
    dscp=(8,),
)
SHAPE = Shape(device="eth0", classes=(*LEVELS, OWN))


@pytest.fixture
def shaper(a: Host) -> Iterator[Shaper]:
    """The devices of host a; nothing of ours is left on them afterwards."""
    with in_netns(a.netns):
        made = Shaper()
        try:
            yield made
        finally:
            made.remove()


def tc(host: Host, *words: str) -> str:
    return host.run("tc", *words)


def bursts(host: Host) -> str:
    """The most that TCP hands to the device at once."""
    words = host.run("ip", "-d", "link", "show", "dev", "eth0").split()
    return words[words.index("gso_max_size") + 1]


def test_classes_as_tc_shows_them(a: Host, shaper: Shaper) -> None:
    assert shaper.apply([SHAPE]) == {}
    shown = tc(a, "class", "show", "dev", "eth0")
    assert "class htb 756d:4d2 parent 756d:1 leaf" in shown
    assert "prio 2 rate 8Mbit ceil 40Mbit" in shown
    for minor, prio in (("16", 0), ("10", 1), ("12", 2)):
        (line,) = (x for x in shown.splitlines() if x.startswith(f"class htb 756d:{minor} "))
        assert f"prio {prio}" in line
    assert "default 0x10" in tc(a, "qdisc", "show", "dev", "eth0")


def test_applying_twice_changes_nothing(shaper: Shaper) -> None:
    shaper.apply([SHAPE])
    to = htb.wanted(SHAPE.classes, speed=0)
    assert list(htb.steps(to, shaper.scheduled("eth0"))) == []


def test_a_change_makes_only_the_difference(shaper: Shaper) -> None:
    shaper.apply([SHAPE])
    fewer = Shape(device="eth0", classes=LEVELS)
    assert shaper.apply([fewer]) == {}
    now = shaper.scheduled("eth0")
    assert set(now.classes) == {htb.WHOLE, CRITICAL, NORMAL, BULK}
    assert now.filters == {}
    assert shaper.apply([SHAPE]) == {}
    assert shaper.scheduled("eth0").filters == {(htb.IPV4, 8): OWN.id, (htb.IPV6, 8): OWN.id}


def test_a_device_that_no_priority_names_any_more_is_as_it_was(a: Host, shaper: Shaper) -> None:
    before = tc(a, "qdisc", "show"), bursts(a)
    shaper.apply([SHAPE])
    assert tc(a, "qdisc", "show") != before[0]
    assert bursts(a) != before[1]
    assert shaper.apply([]) == {}
    assert (tc(a, "qdisc", "show"), bursts(a)) == before


def test_somebody_else_s_qdisc_is_left_alone(a: Host, shaper: Shaper) -> None:
    tc(a, "qdisc", "add", "dev", "eth0", "root", "handle", "1:", "htb")
    try:
        before = tc(a, "qdisc", "show")
        problems = shaper.apply([SHAPE])
        assert isinstance(problems["eth0"], QdiscTaken)
        assert "tc qdisc del dev eth0 root" in str(problems["eth0"])
        assert shaper.remove() == {}
        assert tc(a, "qdisc", "show") == before
    finally:
        tc(a, "qdisc", "del", "dev", "eth0", "root")


def test_a_device_that_is_not_there_keeps_no_other_from_its_shape(shaper: Shaper) -> None:
    problems = shaper.apply([Shape(device="eth7", classes=LEVELS), SHAPE])
    assert list(problems) == ["eth7"]
    assert isinstance(problems["eth7"], DeviceMissing)
    assert shaper.scheduled("eth0").root


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
def test_packets_land_in_the_class_of_their_priority(
    a: Host, b: Host, seen: Seen, shaper: Shaper, family: int
) -> None:
    shaper.apply([SHAPE])
    cgroup_id = a.cgroup.stat().st_ino
    for number in (CRITICAL, BULK, OWN.id):
        priorities.write(seen.plane, {Marked(cgroup_id=cgroup_id): Mark(priority=number)})
        try:
            with landing(shaper, number) as landed:
                talk(a, b, family)
        finally:
            priorities.write(seen.plane, {})
        assert landed[0] > 20_000
    with landing(shaper, NORMAL) as landed:
        talk(a, b, family)
    assert landed[0] > 20_000


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
def test_packets_without_a_priority_are_known_by_their_dscp(
    a: Host, b: Host, shaper: Shaper, family: int
) -> None:
    """As those of a container are, which lose their priority on the way out of its namespace."""
    shaper.apply([SHAPE])
    with landing(shaper, OWN.id) as landed:
        talk(a, b, family, tos=8 << 2)
    assert landed[0] > 20_000
    with landing(shaper, OWN.id) as landed:
        talk(a, b, family, tos=9 << 2)
    assert landed[0] == 0


@contextlib.contextmanager
def landing(shaper: Shaper, number: int) -> Iterator[list[int]]:
    """Bytes that went through a class meanwhile."""
    before = shaper.passed("eth0")[number].bytes
    landed = [0]
    yield landed
    landed[0] = shaper.passed("eth0")[number].bytes - before


def talk(a: Host, b: Host, family: int, *, tos: int = 0) -> None:
    """20 kB from a to b, acknowledged."""
    with b.listen(family) as door, a.open(family) as client:
        if family == socket.AF_INET:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
        else:
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 0)
        client.connect(door.getsockname())
        with door.accept()[0] as server:
            exchange(client, server, request=b"x" * 20_000, answer=b"ok")
