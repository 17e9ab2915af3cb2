# SPDX-License-Identifier: Apache-2.0
"""What the kernel is to hold for a service, and that reuse changes nothing."""

import re
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undermesh import compile as compiling
from undermesh.compile import desired as vocabulary
from undermesh.compile.services import check
from undermesh.model.protocol import Transport
from undermesh.model.service import (
    Balancing,
    Endpoint,
    EndpointSet,
    External,
    Locality,
    Service,
    ServiceId,
    ServiceName,
    ServicePort,
    Split,
)
from undermesh.traffic.states import CheckFailed, Ejected, EndpointKey

CART = ServiceName("shop", "cart")
VIP4, VIP6 = ip_address("198.18.0.7"), ip_address("fd00::7")
HTTP = ServicePort(name="http", port=80, target=8080)
HEADER = Path(__file__).parents[3] / "bpf/abi/service.h"


def endpoint(address=1, **more):
    text = f"10.0.0.{address}" if isinstance(address, int) else address
    return Endpoint(address=ip_address(text), ports=more.pop("ports", {"": 8080}), **more)


def world(*endpoints, vips=(VIP4, VIP6), verdicts=None, ports=(HTTP,), **fields):
    service = Service(name=CART, ports=ports, **fields)
    return compiling.World(
        services={CART: service},
        ids={CART: ServiceId(9)},
        addresses={CART: vips} if vips else {},
        endpoint_sets={CART: (EndpointSet(service=CART, source="t", endpoints=endpoints),)},
        verdicts={CART: verdicts} if verdicts else {},
        node="n1",
        zone="z1",
    )


def shard(*endpoints, **more):
    return compiling.services(world(*endpoints, **more)).shards[ServiceId(9)]


def why(found):
    return [one.why for one in found.refused]


def test_both_families_share_a_table_where_only_ipv4_endpoints_are():
    found = shard(endpoint(1), endpoint(2))
    assert list(found.fronts["table"]) == [0, 0]
    assert list(found.fronts["port"]) == [80, 80] and set(found.fronts["l4"]) == {6}
    assert set(found.backends["service"]) == {9} and list(found.backends["port"]) == [8080] * 2
    assert bytes(found.fronts["address"][0]) == bytes(10) + b"\xff\xff" + VIP4.packed
    assert list(found.slots["backend"]) == [0, 1]


def test_each_family_has_its_own_endpoints_where_there_are_both():
    found = shard(endpoint(1), endpoint("fd01::1"))
    assert list(found.fronts["table"]) == [0, 1]
    assert list(found.slots["backend"]) == [0, 1]


def test_ipv4_callers_do_not_reach_ipv6_endpoints():
    found = shard(endpoint("fd01::1"))
    assert list(found.fronts["table"]) == [-1, 0]
    assert why(found) == ["no endpoint is of 198.18.0.7's family (IPv4)"]


@pytest.mark.parametrize(
    ("endpoints", "more", "reason"),
    [
        ([], {}, "no endpoint"),
        ([], {"selector": {"app": "x"}}, "no endpoint (selector app=x picks nobody)"),
        ([endpoint(1, ready=False)], {}, "none of 1 endpoints can be used: not ready"),
        ([endpoint(1, weight=0)], {}, "gets no share: its weight is 0"),
        ([endpoint(1, ports={"a": 1})], {}, "has no port 8080; it has a (1)"),
        ([endpoint("127.0.0.1", netns=5)], {}, "answer in network namespaces 5 only"),
        ([endpoint(1)], {"locality": Locality.NODE_ONLY}, "stays on its own (node-only)"),
        ([endpoint(1)], {"splits": (Split(weight=0, labels={}),)}, "the weight of its split is 0"),
    ],
)
def test_nobody_to_draw_is_a_front_that_refuses_and_says_why(endpoints, more, reason):
    made = compiling.services(world(*endpoints, vips=(VIP4,), **more))
    found = made.shards[ServiceId(9)]
    general = found.fronts[found.fronts["netns"] == 0]
    assert list(general["table"]) == [-1]
    assert general["flags"][0] & vocabulary.ServiceFlag.REFUSED
    assert reason in found.refused[0].why
    assert reason in made.problems[CART][0]


def test_verdicts_take_endpoints_out_and_are_said():
    dead = EndpointKey(ip_address("10.0.0.1"), 8080)
    out = EndpointKey(ip_address("10.0.0.2"), 8080)
    verdicts = {dead: CheckFailed("connect: refused"), out: Ejected("3 failures in a row")}
    found = shard(endpoint(1), endpoint(2), endpoint(3), verdicts=verdicts)
    assert list(found.slots["backend"]) == [2]
    assert list(found.backends["life"]) == [vocabulary.Life.DEAD, 0, 0]
    found = shard(endpoint(1), endpoint(2), verdicts=verdicts)
    assert "connect: refused" in why(found)[0] and "3 failures in a row" in why(found)[0]


def test_a_namespace_with_endpoints_of_its_own_has_an_entry():
    found = shard(endpoint(1), endpoint("127.0.0.1", netns=5), vips=(VIP4,))
    by_netns = {int(row["netns"]): row for row in found.fronts}
    assert by_netns[0]["flags"] & vocabulary.ServiceFlag.BY_NETNS
    assert not by_netns[5]["flags"] & vocabulary.ServiceFlag.BY_NETNS
    spans = {n: found.tables[row["table"]]["slots"] for n, row in by_netns.items()}
    assert spans == {0: 1, 5: 2}


def test_flags_and_seconds_follow_the_service():
    found = shard(
        endpoint(1),
        fastpath=True,
        affinity=timedelta(hours=3),
        balancing=Balancing.LEAST_LATENCY,
        ports=(HTTP, ServicePort(name="dns", port=53, transport=Transport.UDP, target=8080)),
    )
    assert set(found.fronts["flags"]) == {int(vocabulary.ServiceFlag.FASTPATH)}
    assert set(found.fronts["affinity_s"]) == {10800}
    assert set(found.fronts["balancing"]) == {3}
    assert sorted(set(found.fronts["l4"])) == [6, 17]
    assert len(found.backends) == 1  # one endpoint, though two ports lead to it


def test_a_check_that_fails_does_not_change_the_size_of_a_maglev_table():
    three = [endpoint(i) for i in (1, 2, 3)]
    found = shard(*three, balancing=Balancing.MAGLEV)
    dead = {EndpointKey(ip_address("10.0.0.1"), 8080): CheckFailed("x")}
    other = shard(*three, balancing=Balancing.MAGLEV, verdicts=dead)
    assert len(found.slots) == len(other.slots) == 8191
    others = found.slots["backend"] != 0
    same = found.slots["backend"][others] == other.slots["backend"][others]
    assert same.mean() >= 0.99


def test_a_maglev_size_in_force_is_kept():
    four = [endpoint(i) for i in range(1, 6)]
    before = compiling.services(world(*four, balancing=Balancing.MAGLEV))
    assert compiling.sizes(before) == {CART: 16381}
    after = replace(world(*four[:3], balancing=Balancing.MAGLEV), sizes=compiling.sizes(before))
    assert len(compiling.services(after).shards[ServiceId(9)].slots) == 16381


def test_names_answer_with_addresses_endpoints_or_another_name():
    assert compiling.services(world(endpoint(1))).names[CART].addresses == (VIP4, VIP6)
    made = world(endpoint(1), endpoint(2, ready=False), headless=True, vips=())
    entry = compiling.services(made).names[CART]
    assert entry.endpoints == ((ip_address("10.0.0.1"), (8080,)),)
    made = world(endpoint(1), headless=True, vips=(), ports=())
    assert compiling.services(made).names[CART].endpoints == ((ip_address("10.0.0.1"), ()),)
    made = world(external=External(name="example.org"), vips=())
    found = compiling.services(made)
    assert found.names[CART].external == "example.org" and not found.shards


def test_what_is_not_closed_is_never_published():
    found = shard(endpoint(1), endpoint(2))
    slots = found.slots.copy()
    slots["other"][1] = 2
    backends = found.backends.copy()
    backends["flags"][0] = 0
    tables = found.tables.copy()
    tables["slots"] = 3
    broken = (
        replace(found, slots=slots),
        replace(found, backends=backends),
        replace(found, tables=tables),
        replace(found, tables=tables[:0]),
    )
    check([found])
    check([])
    for one in broken:
        with pytest.raises(compiling.NotClosed, match="compiling service shop/cart"):
            check([found, one])


def test_the_numbers_are_those_of_the_header():
    text = HEADER.read_text()
    defined = {name: int(value) for name, value in re.findall(r"#define (UM_\w+) (\d+)", text)}
    for flag in vocabulary.ServiceFlag:
        assert defined[f"UM_SERVICE_{flag.name}"] == flag
    for flag in vocabulary.BackendFlag:
        assert defined[f"UM_BACKEND_{flag.name}"] == flag
    numbers = dict(re.findall(r"UM_BALANCING_(\w+) = (\d+)", text))
    for balancing, number in vocabulary.BALANCING.items():
        assert int(numbers[balancing.name]) == number
    for dtype in (vocabulary.KEY, vocabulary.SLOT):
        assert all(re.search(rf"__u\d+ {name}\b", text) for name in dtype.names)


NAMES = [ServiceName("shop", text) for text in "abc"]
ENDPOINTS = st.lists(
    st.builds(
        endpoint,
        st.integers(1, 5),
        ready=st.booleans(),
        weight=st.integers(0, 2),
        labels=st.sampled_from([{}, {"v": "1"}]),
    ),
    max_size=4,
)
SERVICES = st.builds(
    lambda balancing, splits, external, headless: {
        "ports": (HTTP,),
        "balancing": balancing,
        "splits": splits,
        "external": external,
        "headless": headless,
    },
    st.sampled_from([Balancing.RANDOM, Balancing.LEAST_LOADED]),
    st.sampled_from([(), (Split(weight=9, labels={"v": "1"}), Split(weight=1, labels={}))]),
    st.sampled_from([None, None, External(name="b.shop"), External(name="example.org")]),
    st.booleans(),
)
WORLDS = st.dictionaries(st.sampled_from(NAMES), st.tuples(SERVICES, ENDPOINTS))


def drawn(described, number):
    return compiling.World(
        services={name: Service(name=name, **one) for name, (one, _) in described.items()},
        ids={name: ServiceId(NAMES.index(name) + 1 + number) for name in described},
        addresses={name: (ip_address(f"198.18.0.{NAMES.index(name) + 1}"),) for name in described},
        endpoint_sets={
            name: (EndpointSet(service=name, source="t", endpoints=tuple(found)),)
            for name, (_, found) in described.items()
        },
        verdicts={
            name: {EndpointKey(ip_address("10.0.0.1"), 8080): CheckFailed("x")}
            for name in list(described)[:number]
        },
        node=f"n{number % 2}",
    )


def content(made):
    return (
        {number: one.content() for number, one in made.shards.items()},
        dict(made.names),
        dict(made.problems),
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(WORLDS, st.sampled_from([0, 0, 0, 1, 2])), min_size=1, max_size=5))
def test_with_what_was_before_it_is_as_from_scratch(worlds):
    before = vocabulary.NOTHING
    for described, number in worlds:
        now = drawn(described, number)
        before = compiling.services(now, before)
        assert content(before) == content(compiling.services(now))


def test_what_did_not_change_is_the_same_object():
    one = world(endpoint(1))
    other = ServiceName("shop", "other")
    both = replace(
        one,
        services={**one.services, other: Service(name=other, ports=(HTTP,))},
        ids={**one.ids, other: ServiceId(10)},
        addresses={**one.addresses, other: (ip_address("198.18.0.8"),)},
    )
    before = compiling.services(both)
    after = compiling.services(
        replace(both, services={**both.services, other: Service(name=other, ports=())}), before
    )
    assert after.shards[ServiceId(9)] is before.shards[ServiceId(9)]
    assert after.shards[ServiceId(10)] is not before.shards[ServiceId(10)]


def test_arrays_are_read_only():
    found = shard(endpoint(1), endpoint(2, weight=3))
    for array in (found.fronts, found.backends, found.slots, found.tables):
        assert isinstance(array, np.ndarray) and not array.flags.writeable
