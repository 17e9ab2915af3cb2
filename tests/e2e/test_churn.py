# SPDX-License-Identifier: Apache-2.0
"""Workloads that live for a moment, by the thousand: each has its name, none leaves a trace."""

import collections
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e import agents, churning
from tests.e2e.agents import Agent
from tests.e2e.places import Scope
from tests.e2e.servers import Nginx, nginx
from tests.e2e.waiting import until

ROUNDS = 10
WORKLOADS = 1000
RUNS = 3
"""Of each round's, as many are made by `undermesh run`."""
KEPT = 2000
"""telemetry.gone_kept as it is when nobody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What an agent takes, once it has folded what is gone."""

    memory: int
    descriptors: int
    entries: dict[str, int]


def footprint(agent: Agent) -> Footprint:
    status = agent.status()
    return Footprint(
        memory=status["memory_bytes"],
        descriptors=len(os.listdir(f"/proc/{agent.pid}/fd")),
        entries={one["name"]: one["entries"] for one in status["maps"] if one["entries"]},
    )


def play(agent: Agent, scope: Scope, server: Nginx, number: int) -> None:
    """One round; fails when it is slower than a thousand workloads a minute."""
    began = time.monotonic()
    for run in range(RUNS):
        name = f"run-{number}-{run}"
        agent.call("run", "--name", name, "--", "curl", "-sf", server.url)
    count = str(WORKLOADS - RUNS)
    argv = [sys.executable, churning.__file__, str(scope.path), f"r{number}-", count]
    done = scope.run("churn", [*argv, str(server.port)])
    assert done.stdout.strip() == count
    took = time.monotonic() - began
    print(f"round {number}: {took:.1f} s")
    assert took < 60


def folded(agent: Agent) -> None:
    """Waits until the kernel holds nothing any more of what is gone."""

    def left() -> int:
        entries = {one["name"]: one["entries"] for one in agent.status()["maps"]}
        return max(entries[name] for name in ("um_owners", "um_edges", "um_series"))

    until(lambda: left() < 50, what="all that is gone to be folded", seconds=60, every=0.5)


def latest(scope: Scope) -> list[str]:
    """The names of the last round's workloads."""
    return [scope.workload(f"r{ROUNDS - 1}-{number}") for number in range(WORKLOADS - RUNS)]


def counted_and_named(agent: Agent, scope: Scope, server: Nginx) -> None:
    """Every request is there once, the latest under the names of those who made them."""
    rows = agent.total(server="nginx")
    assert sum(row["requests"] for row in rows) == server.counted() == ROUNDS * WORKLOADS
    assert sum(row["connections"] for row in rows) == ROUNDS * WORKLOADS
    assert not any(row["open"] or row["errors"] or row["failures"] for row in rows)
    by_client = {row["client"]: row["requests"] for row in rows}
    assert {by_client.get(name) for name in latest(scope)} == {1}
    assert {by_client.get(f"run-{ROUNDS - 1}-{run}") for run in range(RUNS)} == {1}
    assert by_client["(gone)"] == ROUNDS * WORKLOADS - (len(rows) - 1)
    assert KEPT * 0.95 <= len(rows) <= KEPT * 1.05


def told_of(agent: Agent, scope: Scope) -> None:
    """The connections of the latest carry their names, too."""
    clients = collections.Counter(row["client"] for row in agent.flows())
    assert {clients[name] for name in latest(scope)} == {1}


@pytest.fixture
def frugal(name: str, scope: Scope) -> Iterator[Agent]:
    """An agent whose memory of single flows and of the last minutes is full after a round or two,
    so that whatever else grows shows."""
    telemetry = {"window": "10s", "flows_kept": 2 * WORKLOADS}
    with agents.agent(instance=name, scope=scope, settings={"telemetry": telemetry}) as made:
        yield made


@pytest.mark.timeout(400)
def test_churn(frugal: Agent, scope: Scope) -> None:
    agent = frugal
    agent.up()
    server = nginx(scope)
    early = footprint(agent)
    for number in range(ROUNDS):
        play(agent, scope, server, number)
        if number == 2:
            folded(agent)
            early = footprint(agent)
    folded(agent)
    late = footprint(agent)
    assert agent.lost() == {}
    counted_and_named(agent, scope, server)
    told_of(agent, scope)
    assert late.descriptors <= early.descriptors
    grown = {
        name: (early.entries[name], count)
        for name, count in late.entries.items()
        if count > early.entries[name] + 20
    }
    assert not grown
    # What is remembered by intent, 2,000 totals and 8,000 names, is full by round 9 only.
    print(early.memory, late.memory)
    assert late.memory <= early.memory * 1.1
