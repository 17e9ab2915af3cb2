# SPDX-License-Identifier: Apache-2.0
"""An agent, a scope, and the certainty that both are gone afterwards."""

import itertools
import os
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.e2e.reconcile", "tests.e2e.agents")

from tests.e2e import agents, places
from tests.e2e.agents import Agent
from tests.e2e.places import Scope

_numbers = itertools.count()


def new_name() -> str:
    """A name of an instance or cgroup nobody else uses."""
    return f"t-{os.getpid()}-{next(_numbers)}"


@pytest.fixture(autouse=True, scope="session")
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("loading eBPF programs takes root")


@pytest.fixture
def name() -> str:
    return new_name()


@pytest.fixture
def scope(name: str) -> Iterator[Scope]:
    """An empty cgroup; what the test starts in it ends with it."""
    with places.scope(name) as made:
        yield made


@pytest.fixture
def agent(name: str, scope: Scope) -> Iterator[Agent]:
    """An agent of that scope which is not up yet."""
    with agents.agent(instance=name, scope=scope) as made:
        yield made


@pytest.fixture(scope="module")
def wide() -> Iterator[Scope]:
    """A scope for all tests of a module."""
    with places.scope(new_name()) as made:
        yield made


@pytest.fixture(scope="module")
def running(wide: Scope) -> Iterator[Agent]:
    """An agent of that scope, up; tests tell their rows apart by the names of their places."""
    with agents.agent(instance=wide.name, scope=wide) as made:
        made.up()
        yield made
        assert made.lost() == {}
