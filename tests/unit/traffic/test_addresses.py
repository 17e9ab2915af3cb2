# SPDX-License-Identifier: Apache-2.0
"""Addresses and numbers of services stay theirs."""

from ipaddress import IPv4Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undermesh.model.service import External, Service, ServiceId, ServiceName, ServicePort
from undermesh.traffic import addresses


def service(name, *own, **more):
    return Service(
        name=ServiceName("shop", name),
        ports=(ServicePort(port=80, target=80),),
        addresses=tuple(map(ip_address, own)),
        **more,
    )


NAMES = st.sets(st.text("abcdef", min_size=1, max_size=3), max_size=20)


def test_each_service_has_one_of_each_family_with_the_same_low_bits():
    found = addresses.assign({}, [service("cart")]).addresses[ServiceName("shop", "cart")]
    v4, v6 = found
    assert v4 in IPv4Network("198.18.0.0/15")
    assert int(v6) & 0xFFFFFFFF == int(v4)
    assert str(v6).startswith("fd00:756d:6573:6800:")


@given(NAMES, NAMES)
def test_what_is_known_is_kept_and_nothing_is_given_twice(first, second):
    had = addresses.assign({}, map(service, first)).addresses
    now = addresses.assign(had, list(map(service, second))).addresses
    for name in first & second:
        key = ServiceName("shop", name)
        assert now[key] == had[key]
    flat = [address for found in now.values() for address in found]
    assert len(flat) == len(set(flat)) == 2 * len(second)


@given(st.lists(st.text("abcdef", min_size=1, max_size=3), unique=True, max_size=20), st.randoms())
def test_the_order_they_come_in_changes_nothing(names, random):
    shuffled = list(names)
    random.shuffle(shuffled)
    one = addresses.assign({}, list(map(service, names)))
    other = addresses.assign({}, list(map(service, shuffled)))
    assert one.addresses == other.addresses


def test_its_own_addresses_are_honoured_and_others_make_way():
    name = ServiceName("shop", "a")
    given_ = addresses.assign({}, [service("a")]).addresses[name]
    found = addresses.assign({name: given_}, [service("a"), service("b", str(given_[0]))])
    assert found.addresses[ServiceName("shop", "b")] == (given_[0],)
    assert found.addresses[name] != given_ and not found.problems


def test_of_two_that_claim_one_address_the_one_that_had_it_keeps_it():
    wanted = [service("a", "10.0.0.1"), service("b", "10.0.0.1")]
    found = addresses.assign({}, wanted)
    assert found.addresses[ServiceName("shop", "a")] == (ip_address("10.0.0.1"),)
    assert "shop/b asks for 10.0.0.1, which service shop/a has" in str(found.problems)
    had = {ServiceName("shop", "b"): (ip_address("10.0.0.1"),)}
    found = addresses.assign(had, wanted)
    assert found.addresses[ServiceName("shop", "b")] == (ip_address("10.0.0.1"),)
    assert list(found.problems) == [ServiceName("shop", "a")]


def test_the_addresses_of_a_service_that_may_come_back_are_given_to_nobody():
    small = addresses.Ranges(ipv4=IPv4Network("198.18.0.0/29"))
    had = addresses.assign({}, [service("a")], small).addresses
    others = [service(name) for name in "bcdef"]
    now = addresses.assign(had, others, small)
    assert len(now.addresses) == 5 and not now.problems
    both = addresses.assign({**had, **now.addresses}, [*others, service("a")], small)
    assert both.addresses == {**now.addresses, **had}


def test_headless_and_external_services_need_none():
    wanted = [service("a", headless=True), service("b", external=External(name="example.org"))]
    assert not addresses.assign({}, wanted).addresses


def test_a_full_range_is_said():
    ranges = addresses.Ranges(ipv4=IPv4Network("198.18.0.0/30"))
    found = addresses.assign({}, [service(name) for name in "abc"], ranges)
    assert len(found.addresses) == 2
    ((name, why),) = found.problems.items()
    assert str(name) in why and "all of 198.18.0.0/30 is taken" in why


@given(NAMES, NAMES)
def test_a_number_is_never_given_a_second_time(first, second):
    names = [ServiceName("shop", name) for name in first]
    had = addresses.number({}, names)
    assert 0 not in had.ids.values() and len(set(had.ids.values())) == len(names)
    now = addresses.number({}, [ServiceName("shop", name) for name in second], had.next)
    assert not set(now.ids.values()) & set(had.ids.values())
    kept = addresses.number(had.ids, names[:1], had.next)
    assert kept.ids == had.ids


def test_when_the_numbers_are_used_up_it_is_said():
    known = {ServiceName("shop", "a"): ServiceId(2**32 - 1)}
    found = addresses.number(known, [ServiceName("shop", "b")])
    assert found.ids == known and "numbers were given" in str(found.problems)


@pytest.mark.parametrize("count", [2000])
def test_many_services_find_room(count):
    found = addresses.assign({}, [service(f"s{i}") for i in range(count)])
    assert len({address for pair in found.addresses.values() for address in pair}) == 2 * count
