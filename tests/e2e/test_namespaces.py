# SPDX-License-Identifier: Apache-2.0
"""Hosts within the host: what crosses namespaces is one row, what is alike is kept apart."""

from collections.abc import Iterator, Sequence

import pytest

from tests.e2e.agents import Agent
from tests.e2e.conftest import new_name
from tests.e2e.netns import Net, nets, wire
from tests.e2e.places import Scope
from tests.e2e.servers import peer, wait_listening


@pytest.fixture
def pair() -> Iterator[Sequence[Net]]:
    name = new_name()
    with nets(f"{name}-a", f"{name}-b") as made:
        yield made


def serve(scope: Scope, net: Net, place: str, role: str, *arguments: str) -> None:
    child = scope.start(place, net.inside(*peer(role, *arguments)))
    wait_listening(child, int(arguments[0]))


def test_two_namespaces(running: Agent, wide: Scope, pair: Sequence[Net]) -> None:
    here, there = pair
    _, address = wire(here, there, network="10.91.1")
    serve(wide, there, "far", "plain", "80", address)
    for _ in range(3):
        wide.run("near", here.inside("curl", "-sSf", "-o", "/dev/null", f"http://{address}/"))
    row = running.row("near", "far")
    assert (row["requests"], row["connections"], row["port"]) == (3, 3, 80)
    assert len(running.total(server="far")) == 1


def test_equal_loopback_addresses(running: Agent, wide: Scope, pair: Sequence[Net]) -> None:
    for number, net in enumerate(pair):
        serve(wide, net, f"twin-{number}", "plain", "80")
    for number, net in enumerate(pair):
        for _ in range(number + 1):
            argv = net.inside("curl", "-sSf", "-o", "/dev/null", "http://127.0.0.1/")
            wide.run(f"visitor-{number}", argv)
    for number in range(2):
        [row] = running.total(client=f"visitor-{number}")
        assert row["server"] == wide.workload(f"twin-{number}")
        assert row["requests"] == number + 1


def test_no_http_on_port_80(running: Agent, wide: Scope, pair: Sequence[Net]) -> None:
    net = pair[0]
    serve(wide, net, "no-http", "echo", "80")
    argv = net.inside("nc", "-N", "127.0.0.1", "80")
    said = wide.run("no-browser", argv, input="HELO there\n\n", stdin=None)
    assert said.stdout == "HELO there\n\n"
    row = running.row("no-browser", "no-http")
    assert (row["protocol"], row["port"], row["requests"], row["errors"]) == ("tcp", 80, 0, 0)


def test_a_published_port_is_one_row(running: Agent, wide: Scope, pair: Sequence[Net]) -> None:
    """As `docker run -p 8080:80`: the client dials the host, DNAT sends it into the container."""
    host, container = pair
    _, inside = wire(host, container, network="10.91.2")
    serve(wide, container, "contained", "plain", "80", inside)
    rules = f"""table ip nat {{
        chain output {{
            type nat hook output priority -100;
            ip daddr 10.91.2.1 tcp dport 8080 dnat to {inside}:80
        }}
        chain postrouting {{
            type nat hook postrouting priority 100;
            masquerade
        }}
    }}"""
    host.run("nft", "-f", "-", text=rules)
    url = "http://10.91.2.1:8080/"
    for _ in range(4):
        wide.run("dialling", host.inside("curl", "-sSf", "-o", "/dev/null", url))
    [row] = running.total(client="dialling")
    assert row["server"] == wide.workload("contained")
    assert (row["requests"], row["port"], row["connections"]) == (4, 80, 4)
    assert len(running.total(server="contained")) == 1


def test_an_external_peer_has_the_name_that_was_asked_for(
    running: Agent, wide: Scope, scope: Scope, pair: Sequence[Net]
) -> None:
    """`scope` is not what the agent watches: to it, all of that namespace is outside."""
    here, outside = pair
    _, address = wire(here, outside, network="10.91.3")
    name = "api.shop.example"
    here.resolver(address)
    scope.start("names", outside.inside(*peer("nameserver", address, name, address)))
    serve(scope, outside, "world", "plain", "8000", address)
    for _ in range(3):
        wide.run(
            "customer", here.inside("curl", "-4sSf", "-o", "/dev/null", f"http://{name}:8000/")
        )
    wide.run("customer", here.inside("curl", "-4s", "http://no.such.example/"), check=False)
    rows = {row["protocol"]: row for row in running.total(client="customer")}
    http = rows["http"]
    assert (http["server"], http["requests"], http["port"]) == (name, 3, 8000)
    assert rows["dns"]["port"] == 53
    assert rows["dns"]["rcodes"]["NOERROR"] >= 3 and rows["dns"]["rcodes"]["NXDOMAIN"] >= 1
    assert rows["dns"]["errors"] == 0 and rows["dns"]["p50_ms"] > 0
    flows = [f for f in running.flows("--port", "8000") if f["client"] == wide.workload("customer")]
    assert {flow["server_address"] for flow in flows} == {address}
