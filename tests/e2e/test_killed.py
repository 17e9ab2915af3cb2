# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the agent: nothing of what it watches notices, and no count is lost or doubled."""

import random
import signal
import sqlite3
import sys
import time

import pytest

from tests.e2e import churning
from tests.e2e.agents import Agent
from tests.e2e.hooks import Watch
from tests.e2e.load import Wrk
from tests.e2e.places import Scope
from tests.e2e.reconcile import reconcile
from tests.e2e.servers import nginx
from tests.e2e.waiting import until


@pytest.fixture
def chance() -> random.Random:
    """Random instants; the seed is printed when the test fails."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


def test_kills_under_load_leave_no_hole(agent: Agent, scope: Scope, chance: random.Random) -> None:
    agent.up()
    since = agent.status()["since"]
    server = nginx(scope)
    load = Wrk(scope, server.url)
    before = 0
    with Watch(scope.path) as watch:
        for _ in range(5):
            time.sleep(chance.uniform(0.0, 0.7))
            agent.kill()
            agent.up()
            assert agent.status()["adopted"]
            counted = sum(row["requests"] for row in agent.edges())
            assert counted > before
            before = counted
    assert watch.least == watch.first
    reconcile(agent, server, load)
    assert agent.status()["since"] == since


def test_kills_while_programs_are_replaced(
    agent: Agent, scope: Scope, chance: random.Random
) -> None:
    """With another --keep-query every `up` loads all programs anew and moves their links."""
    agent.up()
    server = nginx(scope)
    load = Wrk(scope, server.url)
    agent.kill()
    for number in range(6):
        starting = agent.spawn(*(["--keep-query"] if number % 2 else []))
        time.sleep(chance.uniform(0.3, 2.5))
        starting.send_signal(signal.SIGKILL)
        starting.wait()
    agent.up()
    reconcile(agent, server, load)


def test_a_first_start_that_was_killed_is_no_obstacle(
    agent: Agent, scope: Scope, chance: random.Random
) -> None:
    for _ in range(4):
        starting = agent.spawn()
        time.sleep(chance.uniform(0.1, 2.0))
        starting.send_signal(signal.SIGKILL)
        starting.wait()
    agent.up()
    server = nginx(scope)
    scope.run("curl", ["curl", "-s", server.url])
    assert agent.row("curl", "nginx")["requests"] == 1
    assert agent.lost() == {}


def test_kills_within_folds_count_each_workload_once(agent: Agent, scope: Scope) -> None:
    """Killed as soon as a fold is written down, and often enough before it is done."""
    agent.up()
    server = nginx(scope)
    hits = rounds = 0
    while hits < 2:
        assert rounds < 10, f"{hits} of {rounds} kills met a fold"
        argv = [sys.executable, churning.__file__, str(scope.path), f"r{rounds}-", "200"]
        scope.run("churn", [*argv, str(server.port)])
        rounds += 1
        until(lambda: folds_under_way(agent), what="a fold", every=0.0002)
        agent.kill()
        hits += folds_under_way(agent)
        agent.up()
    until(lambda: owners(agent) < 20, what="all that is gone to be folded", seconds=40)
    rows = agent.total(server="nginx")
    assert {row["requests"] for row in rows} == {1}
    assert sum(row["connections"] for row in rows) == len(rows) == server.counted() == rounds * 200
    assert agent.lost() == {}


def folds_under_way(agent: Agent) -> bool:
    """Whether a fold has begun that is not done, as the agent would find it."""
    state = agent.directory / "state" / agent.instance / "state.db"
    connection = sqlite3.connect(f"file:{state}?mode=ro", uri=True)
    try:
        return bool(connection.execute("SELECT 1 FROM folds LIMIT 1").fetchall())
    finally:
        connection.close()


def owners(agent: Agent) -> int:
    """How many executables in cgroups the kernel holds counters for."""
    return next(one["entries"] for one in agent.status()["maps"] if one["name"] == "um_owners")
