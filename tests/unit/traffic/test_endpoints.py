# SPDX-License-Identifier: Apache-2.0
"""Who answers for a port of a service, and what is said of those who do not."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from undermesh.model.service import (
    Endpoint,
    EndpointSet,
    External,
    Service,
    ServiceName,
    ServicePort,
    Split,
    WorkloadSpec,
)
from undermesh.model.workload import NodeId, Number, Workload
from undermesh.traffic import externals, selecting
from undermesh.traffic.endpoints import Selected, resolve
from undermesh.traffic.states import CheckFailed, Ejected, EndpointKey, NoSuchPort, NoWeight

CART = ServiceName("shop", "cart")
HTTP = ServicePort(name="http", port=80, target=8080)


def service(**more):
    return Service(name=CART, ports=(HTTP,), **more)


def endpoint(last=1, ports=None, **more):
    return Endpoint(
        address=ip_address(f"10.0.0.{last}"), ports={"": 8080} if ports is None else ports, **more
    )


def listed(*endpoints):
    return [EndpointSet(service=CART, source="t", endpoints=endpoints)]


@pytest.mark.parametrize(
    ("target", "ports", "found"),
    [
        (8080, {"http": 9000}, 9000),  # a slice's port goes by the service port's name
        ("web", {"web": 7000, "http": 9000}, 7000),
        (8080, {"": 9000}, 9000),
        ("web", {"": 9000}, 9000),
        (8080, {}, 8080),
        (8080, {"other": 8080}, 8080),
        (8080, {"metrics": 9090}, 0),
        ("web", {"metrics": 9090}, 0),
    ],
)
def test_the_port_of_a_listed_endpoint(target, ports, found):
    port = replace(HTTP, target=target)
    (one,) = resolve(service(), port, listed(endpoint(ports=ports)))
    assert one.port == found
    assert one.usable == bool(found)
    if not found:
        assert isinstance(one.state, NoSuchPort)
        assert str(one.state) == f"has no port {target!r}; it has metrics (9090)"


def test_a_selected_workload_takes_a_number_as_it_is():
    picked = Selected((endpoint(ports={"http": 9000}),))
    assert resolve(service(), HTTP, (), picked)[0].port == 8080
    assert resolve(service(), replace(HTTP, target="http"), (), picked)[0].port == 9000
    assert resolve(service(), replace(HTTP, target="web"), (), picked)[0].port == 0


def test_the_state_of_each_is_said():
    sets = listed(
        endpoint(1),
        endpoint(2, ready=False),
        endpoint(3, draining=True),
        endpoint(4, weight=0),
        endpoint(5),
        endpoint(6),
    )
    verdicts = {
        EndpointKey(ip_address("10.0.0.5"), 8080): CheckFailed("connect: refused"),
        EndpointKey(ip_address("10.0.0.6"), 8080): Ejected("5 of 9 requests failed"),
    }
    found = [str(one.state) for one in resolve(service(), HTTP, sets, verdicts=verdicts)]
    assert found == [
        "ready",
        "not ready: its manifest says so",
        "draining: no new connections, open ones until the drain time-out",
        "gets no share: its weight is 0",
        "check failed: connect: refused",
        "ejected: 5 of 9 requests failed",
    ]


def test_publish_unready_uses_who_is_not_ready():
    (one,) = resolve(service(publish_unready=True), HTTP, listed(endpoint(ready=False)))
    assert one.usable


def test_one_listed_twice_counts_once():
    sets = listed(endpoint(1)) + listed(endpoint(1, weight=7), endpoint(2))
    found = resolve(service(), HTTP, sets)
    assert [one.endpoint.weight for one in found] == [1, 1]


def test_the_same_loopback_address_in_two_namespaces_is_two():
    home = ip_address("127.0.0.1")
    both = [Endpoint(address=home, ports={"": 80}, netns=netns) for netns in (1, 2)]
    assert len(resolve(service(), HTTP, listed(*both))) == 2


def test_who_no_split_selects_is_told_so():
    made = service(splits=(Split(weight=1, labels={"v": "1"}), Split(weight=0, labels={"v": "2"})))
    sets = listed(endpoint(1, labels={"v": "1"}), endpoint(2, labels={"v": "2"}), endpoint(3))
    found = [one.state for one in resolve(made, HTTP, sets)]
    assert found[1:] == [
        NoWeight("the weight of its split is 0"),
        NoWeight("no split selects it"),
    ]


def host(name="web", *, netns=42, address=None, gone=None, labels=None, exe="/usr/bin/nginx"):
    workload = Workload(
        node=NodeId("n1"),
        number=Number(256),
        namespace="shop",
        name=name,
        kind="unit",
        labels=labels or {},
        exe=exe,
        cgroup=f"/system.slice/{name}.service",
        cgroup_id=1,
        started_ns=0,
        gone_ns=gone,
    )
    return selecting.HostWorkload(workload=workload, netns=netns, address=address)


WEB = WorkloadSpec(
    namespace="shop",
    name="web",
    match={"unit": "web.service"},
    labels={"app": "web"},
    ports={"http": 8080},
)


def test_a_loopback_endpoint_belongs_to_its_namespace():
    found = selecting.select([service(selector={"app": "web"})], [host()], [WEB])
    (one,) = found[CART].endpoints
    assert (str(one.address), one.netns, one.ports) == ("127.0.0.1", 42, {"http": 8080})
    with_address = [host(address=ip_address("10.1.0.2"))]
    (one,) = selecting.select([service(selector={"app": "web"})], with_address, [WEB])[
        CART
    ].endpoints
    assert one.netns == 0


def test_a_selector_picks_who_has_all_its_labels():
    hosts = [host("a", labels={"app": "web"}), host("b", labels={"app": "web", "tier": "1"})]
    wanted = service(selector={"app": "web", "tier": "1"})
    (one,) = selecting.select([wanted], hosts, [])[CART].endpoints
    assert one.target == "workload shop/b"
    assert not selecting.select([service(selector={"app": "db"})], hosts, [])
    assert not selecting.select([service()], hosts, [])


def test_an_equal_answer_is_the_same_object():
    wanted = [service(selector={"app": "web"})]
    first = selecting.select(wanted, [host()], [WEB])
    assert selecting.select(wanted, [host()], [WEB], first)[CART] is first[CART]


def test_a_workload_that_is_gone_is_draining():
    found = selecting.select([service(selector={"app": "web"})], [host(gone=5)], [WEB])
    assert found[CART].endpoints[0].draining


@pytest.mark.parametrize(
    ("match", "agrees"),
    [
        ({"unit": "web"}, True),
        ({"unit": "web.service", "exe": "nginx"}, True),
        ({"exe": "/usr/bin/nginx"}, True),
        ({"exe": "ginx"}, False),
        ({"container": "web"}, False),
        ({"cgroup": "/system.slice/web.service"}, True),
        ({}, False),
    ],
)
def test_what_a_workload_object_is_about(match, agrees):
    assert selecting.matches(replace(WEB, match=match), host().workload) is agrees


def external(name, to):
    return Service(name=ServiceName("shop", name), ports=(), external=External(name=to))


def test_external_names_are_followed_to_their_end():
    known = {
        one.name: one
        for one in (
            external("a", "b.shop.svc.cluster.local"),
            external("b", "example.org."),
            external("c", "cart.shop"),
            external("d", "e.shop.svc.mesh"),
            external("e", "d.shop.svc"),
            service(),
        )
    }
    assert externals.follow(ServiceName("shop", "a"), known) == externals.Outside("example.org")
    assert externals.follow(ServiceName("shop", "c"), known) == externals.Inside(CART)
    circle = externals.follow(ServiceName("shop", "d"), known)
    assert str(circle) == "external names in a circle: shop/d → shop/e → shop/d"
