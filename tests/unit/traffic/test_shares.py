# SPDX-License-Identifier: Apache-2.0
"""Splits, locality and weights as whole numbers."""

from fractions import Fraction
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undermesh.model.service import Endpoint, Locality, Service, ServiceName, ServicePort, Split
from undermesh.traffic import shares
from undermesh.traffic.endpoints import Resolved
from undermesh.traffic.states import NOT_READY, READY, ElsewhereOnly


def one(last=1, *, ready=True, **more):
    endpoint = Endpoint(address=ip_address(f"10.0.0.{last}"), ports={"": 80}, **more)
    return Resolved(endpoint, 80, READY if ready else NOT_READY)


def service(**more):
    return Service(
        name=ServiceName("shop", "cart"), ports=(ServicePort(port=80, target=80),), **more
    )


def share(made, endpoints, node="n1", zone="z1"):
    weights = shares.weights(made, endpoints, node=node, zone=zone)
    whole = sum(weights)
    return [Fraction(weight, whole) if whole else Fraction(0) for weight in weights]


CANARY = (
    Split(weight=90, labels={"version": "1"}),
    Split(weight=10, labels={"version": "2"}),
)


@given(st.integers(1, 9), st.integers(1, 9), st.lists(st.integers(1, 7), min_size=18, max_size=18))
def test_ninety_to_ten_whatever_stands_behind_each(old, new, weights):
    endpoints = [one(labels={"version": "1"}, weight=weights.pop()) for _ in range(old)]
    endpoints += [one(labels={"version": "2"}, weight=weights.pop()) for _ in range(new)]
    found = share(service(splits=CANARY), endpoints)
    assert sum(found[:old]) == Fraction(9, 10)
    assert sum(found[old:]) == Fraction(1, 10)


def test_a_split_without_endpoints_gives_its_share_to_the_others():
    endpoints = [one(1, labels={"version": "1"}, ready=False), one(2, labels={"version": "2"})]
    assert share(service(splits=CANARY), endpoints) == [0, 1]


def test_splits_that_sum_to_zero_use_nobody():
    splits = tuple(Split(weight=0, labels=split.labels) for split in CANARY)
    assert not any(share(service(splits=splits), [one(1, labels={"version": "1"})]))


def test_the_near_keep_all_while_enough_are_well():
    near = [one(i, node="n1", ready=i > 1) for i in range(1, 5)]
    far = [one(9, node="n2")]
    found = share(service(locality=Locality.NODE), [*near, *far])
    assert found[-1] == 0 and sum(found[:4]) == 1  # 3 of 4 are well: 1.05 of what is needed


@pytest.mark.parametrize(("well", "kept"), [(2, Fraction(7, 10)), (1, Fraction(7, 20)), (0, 0)])
def test_below_that_the_rest_spills_over_in_proportion(well, kept):
    near = [one(i, zone="z1", ready=i <= well) for i in range(1, 5)]
    far = [one(i, zone="z2") for i in (8, 9)]
    found = share(service(locality=Locality.ZONE), [*near, *far])
    assert sum(found[:4]) == kept
    assert found[4] == found[5] == (1 - kept) / 2


def test_node_spills_to_the_zone_before_the_rest():
    endpoints = [one(1, node="n2", zone="z1"), one(2, node="n3", zone="z2")]
    assert share(service(locality=Locality.NODE), endpoints) == [1, 0]


def test_when_nobody_can_take_all_what_is_there_is_shared():
    assert sum(shares.spill([1, 1, 0], [4, 4, 0])) == 1
    assert shares.spill([0, 0, 0], [4, 0, 0]) == [0, 0, 0]


def test_node_only_never_leaves():
    made = service(locality=Locality.NODE_ONLY)
    endpoints = shares.stays(made, [one(1, node="n1", ready=False), one(2, node="n2")], "n1")
    assert isinstance(endpoints[1].state, ElsewhereOnly)
    assert not any(share(made, endpoints))
    endpoints = shares.stays(made, [one(1, node="n1"), one(2, node="n2")], "n1")
    assert share(made, endpoints) == [1, 0]


def test_locality_holds_within_a_split():
    endpoints = [
        one(1, labels={"version": "1"}, node="n1"),
        one(2, labels={"version": "1"}, node="n2"),
        one(3, labels={"version": "2"}, node="n2"),
    ]
    found = share(service(splits=CANARY, locality=Locality.NODE), endpoints)
    assert found == [Fraction(9, 10), 0, Fraction(1, 10)]
