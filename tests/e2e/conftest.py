# SPDX-License-Identifier: Apache-2.0
"""An agent, a scope, and the certainty that both are gone afterwards."""

import itertools
import os
from collections.abc import Iterator

import pytest

# Before they are imported: what they assert is explained as in a test.
pytest.register_assert_rewrite("tests.e2e.agents", "tests.e2e.reconcile")

from tests.e2e import agents, places  # noqa: E402
from tests.e2e.agents import Agent  # noqa: E402
from tests.e2e.places import Scope  # noqa: E402

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
def absent(wide: Scope) -> Iterator[Agent]:
    """An agent that is never up."""
    with agents.agent(instance=new_name(), scope=wide) as made:
        yield made


@pytest.fixture(scope="module")
def wide() -> Iterator[Scope]:
    """A scope for all tests of a module."""
    with places.scope(new_name()) as made:
        yield made


@pytest.fixture(scope="module")
def running(wide: Scope) -> Iterator[Agent]:
    """An agent of that scope, up; tests tell their rows apart by the names of their places.

    It reads its counters four times as often as usual: tests wait for that.
    """
    telemetry = {"sweep": "250ms"}
    with agents.agent(instance=wide.name, scope=wide, settings={"telemetry": telemetry}) as made:
        made.up()
        yield made
        assert made.lost() == {}
