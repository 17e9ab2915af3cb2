# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the agent: nothing of what it watches notices, and no count is lost or doubled."""

import random
import signal
import time

import pytest

from tests.e2e.agents import Agent
from tests.e2e.load import Wrk
from tests.e2e.places import Scope
from tests.e2e.reconcile import reconcile
from tests.e2e.servers import nginx


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
    for _ in range(5):
        time.sleep(chance.uniform(0.0, 0.7))
        agent.kill()
        agent.up()
        assert agent.status()["adopted"]
        counted = sum(row["requests"] for row in agent.edges())
        assert counted > before
        before = counted
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


def test_a_first_start_that_was_killed_is_no_obstacle(agent: Agent, scope: Scope, chance: random.Random) -> None:
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
