# SPDX-License-Identifier: Apache-2.0
"""Checks of endpoints inside other network namespaces, which the host itself does not reach."""

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address

import pytest

from tests.netns.conftest import new_name
from tests.netns.hosts import in_netns, new_port, run
from undermesh.health.answer import Failed, Passed
from undermesh.health.asking import check_once
from undermesh.host.netns import Namespaces, own_cookie
from undermesh.model.health import Target
from undermesh.model.service import Check, ServiceName, TcpCheck

CHECK = Check(probe=TcpCheck(), timeout=timedelta(seconds=2))


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The name of a network namespace with nothing but its loopback."""
    name = new_name()
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.fixture
def namespaces() -> Iterator[Namespaces]:
    found = Namespaces()
    yield found
    found.close()


def ask(namespaces: Namespaces, target: Target):
    """What a check comes to, with sockets made in whichever namespace the target is in."""

    def connect_in(netns, family) -> socket.socket:
        for namespace in namespaces.scan():
            if namespace.cookie == netns:
                return namespace.call(lambda: socket.socket(family, socket.SOCK_STREAM))
        raise FileNotFoundError(2, "No such file or directory")

    return asyncio.run(check_once(target, CHECK, connect_in=connect_in))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_loopback_endpoint_is_reached_in_its_own_namespace_only(
    elsewhere, namespaces, host
) -> None:
    port = new_port()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with in_netns(elsewhere):
        cookie = own_cookie()
        listener = socket.create_server((host, port), family=family)
    name = ServiceName("shop", "cart")
    with listener:
        there = Target(name, ip_address(host), port, cookie)
        assert ask(namespaces, there) == Passed("accepts connections")
        here = Target(name, ip_address(host), port, own_cookie())
        assert isinstance(ask(namespaces, here), Failed)
    assert isinstance(ask(namespaces, there), Failed)


def test_an_endpoint_whose_namespace_is_gone_fails(elsewhere, namespaces) -> None:
    with in_netns(elsewhere):
        cookie = own_cookie()
    run("ip", "netns", "del", elsewhere)
    target = Target(ServiceName("shop", "cart"), ip_address("127.0.0.1"), 80, cookie)
    answer = ask(namespaces, target)
    assert isinstance(answer, Failed)
    assert f"network namespace {cookie} is gone" in answer.reason
