# SPDX-License-Identifier: Apache-2.0
"""Priorities become marks and classes, and two that claim the same are told."""

import itertools
from dataclasses import replace
from ipaddress import ip_address

import pytest

from undermesh.model.priority import MAJOR, Mark, Marked, Serving, class_id
from undermesh.model.service import (
    ANY_NETNS,
    Level,
    Netns,
    PrioritySpec,
    ServiceId,
    ServiceName,
    WorkloadSpec,
)
from undermesh.model.workload import NodeId, Number, Workload
from undermesh.traffic import priority
from undermesh.traffic.priority import World

CART, SEARCH = ServiceName("default", "cart"), ServiceName("default", "search")
IDS = {CART: ServiceId(7), SEARCH: ServiceId(8)}
_numbers = itertools.count(256)


def workload(name: str, *, cgroup_id: int, exe: str = "nginx", **labels: str) -> Workload:
    return Workload(
        node=NodeId("n"),
        number=Number(next(_numbers)),
        namespace="default",
        name=name,
        kind="run",
        labels=labels,
        exe=exe,
        cgroup=f"/{name}",
        cgroup_id=cgroup_id,
        started_ns=0,
    )


def spec(name: str, level: Level = Level.CRITICAL, **fields: object) -> PrioritySpec:
    made = PrioritySpec(namespace="default", name=name, level=level, origin="p.yaml:1")
    return replace(made, **fields)


WEB = workload("web", cgroup_id=11, tier="web")
BATCH = workload("batch", cgroup_id=12, tier="batch")
WORLD = World(workloads=(WEB, BATCH), services=IDS)


def test_labels_choose_workloads_of_the_same_namespace():
    found = priority.desired([spec("p", workloads={"tier": "web"}, dscp=46)], WORLD)
    assert found.marks == {Marked(cgroup_id=11): Mark(priority=class_id(Level.CRITICAL), dscp=46)}
    assert found.problems == ()
    elsewhere = spec("p", workloads={"tier": "web"}, namespace="shop")
    assert priority.desired([elsewhere], WORLD).marks == {}


def test_workload_objects_add_labels_and_namespaces():
    added = WorkloadSpec(namespace="shop", name="w", match={"run": "web"}, labels={"app": "cart"})
    wanted = spec("p", namespace="shop", workloads={"app": "cart", "tier": "web"})
    found = priority.desired([wanted], replace(WORLD, specs=(added,)))
    assert list(found.marks) == [Marked(cgroup_id=11)]


def test_workloads_that_are_gone_are_not_marked():
    gone = replace(WORLD, workloads=(replace(WEB, gone_ns=5),))
    assert priority.desired([spec("p", workloads={"tier": "web"})], gone).marks == {}


def test_a_service_marks_its_clients_and_its_servers():
    world = replace(WORLD, serving=(Serving(service=CART, cgroup_id=12, port=8080),))
    found = priority.desired([spec("p", services=(CART,))], world)
    mark = Mark(priority=class_id(Level.CRITICAL))
    assert found.marks == {
        Marked(service=ServiceId(7)): mark,
        Marked(cgroup_id=12, port=8080): mark,
    }


def test_a_service_that_is_not_there_is_a_problem():
    found = priority.desired([spec("p", services=(ServiceName("shop", "cart"),))], WORLD)
    (problem,) = found.problems
    assert problem == (
        "p.yaml:1: Priority default/p names service shop/cart, which there is none of"
    )


def test_of_two_that_claim_a_workload_the_more_important_wins():
    low = spec("a", Level.BULK, workloads={"tier": "web"})
    high = spec("b", workloads={"tier": "web"})
    for order in ((low, high), (high, low)):
        found = priority.desired(order, WORLD)
        assert found.marks[Marked(cgroup_id=11)].priority == class_id(Level.CRITICAL)
        (problem,) = found.problems
        assert "default/a claims workload web, which Priority default/b claims as critical" in (
            problem
        )


def test_two_that_say_the_same_of_a_workload_do_not_contend():
    both = [spec("a", workloads={"tier": "web"}), spec("b", workloads={"tier": "web"})]
    assert priority.desired(both, WORLD).problems == ()


def test_a_workload_that_shares_a_cgroup_with_another_is_a_problem():
    other = workload("web", cgroup_id=11, exe="curl", tier="none")
    world = replace(WORLD, workloads=(WEB, other))
    found = priority.desired([spec("p", workloads={"tier": "web"})], world)
    (problem,) = found.problems
    assert "does not select curl of web" in problem


def test_a_congestion_control_this_kernel_lacks_is_left_out_and_told():
    asked = spec("p", workloads={"tier": "web"}, congestion="dctcp")
    found = priority.desired([asked], replace(WORLD, congestion={"cubic", "reno"}))
    assert found.marks[Marked(cgroup_id=11)].congestion == ""
    assert "it has cubic, reno; load one with modprobe tcp_dctcp" in found.problems[0]
    assert priority.desired([asked], WORLD).marks[Marked(cgroup_id=11)].congestion == "dctcp"


def test_every_device_named_has_a_class_of_each_level():
    found = priority.desired([spec("p", devices=("eth1", "eth0"))], WORLD)
    assert [shape.device for shape in found.shapes] == ["eth0", "eth1"]
    for shape in found.shapes:
        assert [one.id for one in shape.classes] == [class_id(level) for level in Level]


def test_no_device_named_no_shape():
    assert priority.desired([spec("p", rate=1_000_000)], WORLD).shapes == ()


def test_a_rate_makes_a_class_known_on_every_device_and_held_on_its_own():
    rated = spec("bulk", Level.BULK, rate=8_000, ceiling=16_000, devices=("eth0",), dscp=8)
    plain = spec("web", workloads={"tier": "web"}, devices=("eth1",))
    batch = spec("batch", Level.BULK, workloads={"tier": "batch"}, rate=8_000, devices=("eth0",))
    found = priority.desired([rated, plain, batch], WORLD)
    number = found.marks[Marked(cgroup_id=12)].priority
    here, there = ({one.id: one for one in shape.classes} for shape in found.shapes)
    assert here[number].rate == 8_000
    assert there[number].rate == 0
    (marked,) = (one for one in here.values() if one.dscp)
    assert (marked.rate, marked.ceiling, marked.dscp) == (8_000, 16_000, (8,))


def test_class_ids_are_those_of_the_name_and_pick_linux_s_own_bands():
    rated = [
        spec(f"p{n}", level, rate=1_000_000, devices=("eth0",), workloads={"tier": "web"})
        for n, level in enumerate(Level)
    ]
    alone = priority.desired(rated[1:2], WORLD).shapes[0].classes
    every = priority.desired(rated, WORLD).shapes[0].classes
    assert {one.id for one in alone} < {one.id for one in every}
    for one in every:
        assert one.id >> 16 == MAJOR
        assert one.id & 15 == {Level.CRITICAL: 6, Level.NORMAL: 0, Level.BULK: 2}[one.level]


def test_class_ids_of_many_priorities_differ():
    many = [spec(f"p{n}", rate=1_000, devices=("eth0",)) for n in range(500)]
    classes = priority.desired(many, WORLD).shapes[0].classes
    assert len({one.id for one in classes}) == 503


@pytest.mark.parametrize(
    ("address", "netns", "found"),
    [
        ("10.0.0.1", ANY_NETNS, True),
        ("127.0.0.1", Netns(5), True),
        ("10.0.0.2", ANY_NETNS, False),
        ("127.0.0.1", Netns(6), False),
    ],
)
def test_servers_are_found_by_their_listener(address: str, netns: Netns, found: bool):
    serving = priority.serving(
        {CART: [(ip_address(address), 80, netns)]},
        listeners={(Netns(5), 80): 12},
        places={ip_address("10.0.0.1"): Netns(5)},
    )
    assert serving == ((Serving(service=CART, cgroup_id=12, port=80),) if found else ())
