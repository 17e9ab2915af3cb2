# SPDX-License-Identifier: Apache-2.0
"""Endpoints as one caller sees them."""

from ipaddress import ip_address

from undermesh import compile as compiling
from undermesh.model.service import (
    Endpoint,
    EndpointSet,
    Service,
    ServiceId,
    ServiceName,
    ServicePort,
)

CART = ServiceName("shop", "cart")
HTTP = ServicePort(name="http", port=80, target=8080)


def endpoint(address, **more):
    return Endpoint(address=ip_address(address), ports={"": 8080}, **more)


def states(*endpoints, **caller):
    world = compiling.World(
        services={CART: Service(name=CART, ports=(HTTP,))},
        ids={CART: ServiceId(1)},
        addresses={CART: (ip_address("198.18.0.1"),)},
        endpoint_sets={CART: (EndpointSet(service=CART, source="t", endpoints=endpoints),)},
    )
    return [str(one.state) for one in compiling.seen(world, CART, HTTP, **caller)]


def test_a_loopback_endpoint_answers_in_its_own_namespace():
    both = endpoint("10.0.0.1"), endpoint("127.0.0.1", netns=5)
    assert states(*both) == ["ready", "answers in network namespace 5 only"]
    assert states(*both, netns=5) == ["ready", "ready"]


def test_families():
    both = endpoint("10.0.0.1"), endpoint("fd00::1", ready=False)
    assert states(*both) == ["ready", "not ready: its manifest says so"]
    assert states(*both, version=6) == ["ready", "not ready: its manifest says so"]
    both = endpoint("10.0.0.1"), endpoint("fd00::1")
    assert states(*both) == ["ready", "is of the other address family"]
    assert states(*both, version=6) == ["is of the other address family", "ready"]
