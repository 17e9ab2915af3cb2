# SPDX-License-Identifier: Apache-2.0
"""An agent of another version in place of the running one, and back: nobody notices."""

import os
import signal

import pytest

from tests.e2e import versions
from tests.e2e.agents import COMMAND, Agent
from tests.e2e.hooks import Watch
from tests.e2e.load import Wrk
from tests.e2e.places import Scope
from tests.e2e.reconcile import reconcile
from tests.e2e.servers import nginx
from tests.e2e.waiting import until


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The command of a later version whose counters have grown."""
    return versions.command(versions.later_version(tmp_path_factory.mktemp("later") / "tree"))


def restart(agent: Agent, command: tuple[str, ...], *, kill: bool) -> None:
    """The agent ends, as told or at once, and another version starts."""
    if kill:
        agent.kill()
    else:
        os.kill(agent.pid, signal.SIGTERM)
        until(lambda: not agent.pid, what="the agent to end")
    agent.up(command=command)


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_an_upgrade_and_back_loses_nothing(
    agent: Agent, scope: Scope, later: tuple[str, ...], kill: bool
) -> None:
    agent.up()
    first = agent.status()
    server = nginx(scope)
    load = Wrk(scope, server.url)
    until(agent.edges, what="traffic")
    counted = 0
    with Watch(scope.path) as watch:
        for command, version in ((later, versions.VERSION), (COMMAND, first["version"])):
            restart(agent, command, kill=kill)
            status = agent.status()
            assert status["version"] == version
            assert status["adopted"] and status["since"] == first["since"]
            now = sum(row["requests"] for row in agent.edges())
            assert now > counted
            counted = now
    assert watch.looks > 50
    assert watch.least == watch.first
    reconcile(agent, server, load)
