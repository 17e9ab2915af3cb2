# SPDX-License-Identifier: Apache-2.0
"""Peak EWMA in integers against its definition (Finagle's PeakEwma: e to the -t / 10 s)."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undermesh.kernel import testrun
from undermesh.kernel.loaded import Loaded
from undermesh.kernel.objects import Configuration, Opened

S = 10**9
PACE = settings(max_examples=300, derandomize=True, database=None, deadline=None)


@pytest.fixture(scope="module")
def loads(wrappers: Path) -> Iterator[Loaded]:
    """loads.bpf.o, loaded."""
    with Opened.read(wrappers / "loads.bpf.o").configure(Configuration()).load() as loaded:
        yield loaded


def step(loads: Loaded, *, ewma: int, age: int, duration: int, held: int = 0) -> tuple[int, int]:
    """(EWMA after a sample, cost of a connection before it)."""
    row = loads.maps["load_step_taken"]
    before = row.lookup(0)
    assert before is not None
    values = (ewma, 5 * S, duration, 5 * S + age, held, 0)
    before = before.copy()
    for name, value in zip(before.dtype.names, values, strict=True):
        before[name] = value
    row.insert(0, before)
    testrun.run_program(loads.programs["load_took"], data=bytes(64))
    after = row.lookup(0)
    assert after is not None
    assert int(after["at_ns"]) == 5 * S + age
    return int(after["ewma_ns"]), int(after["cost"])


@given(
    ewma=st.integers(10_000, 60 * S), age=st.integers(0, 100 * S), duration=st.integers(1, 60 * S)
)
@PACE
def test_near_its_definition(loads: Loaded, ewma: int, age: int, duration: int) -> None:
    """A peak at once; a decay within 7 % of the exponential."""
    after, cost = step(loads, ewma=ewma, age=age, duration=duration)
    weight = math.exp(-age / (10 * S))
    wanted = duration if duration >= ewma else ewma * weight + duration * (1 - weight)
    assert after == pytest.approx(wanted, rel=0.07, abs=4096)
    assert cost == pytest.approx(ewma * weight, rel=0.07, abs=4096)


def test_costs_grow_with_what_is_open(loads: Loaded) -> None:
    costs = [step(loads, ewma=S, age=0, duration=1, held=n)[1] for n in range(4)]
    assert costs == [(S + 1) * (n + 1) for n in range(4)]


def test_who_has_not_answered_yet(loads: Loaded) -> None:
    """Tried first while nothing is under way with it, and last while something is."""
    assert step(loads, ewma=0, age=0, duration=1)[1] == 0
    assert step(loads, ewma=0, age=0, duration=1, held=1)[1] == 60 * S + 1
    assert step(loads, ewma=0, age=0, duration=7)[0] == 7


def test_forgotten_after_minutes(loads: Loaded) -> None:
    assert step(loads, ewma=S, age=3600 * S, duration=1) == (1, 1)
