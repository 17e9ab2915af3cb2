# SPDX-License-Identifier: Apache-2.0
"""Due times, without a clock."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undermesh.health.schedule import JITTER, Schedule

SECOND = 1_000_000_000


def schedule(seed=1):
    return Schedule(draw=random.Random(seed))


def test_what_is_new_is_due_at_once_and_once() -> None:
    plan = schedule()
    plan.add("a", interval_ns=SECOND, now_ns=7)
    place, due = plan.take(now_ns=7)
    assert (place.item, due) == ("a", 7)
    assert plan.take(now_ns=10 * SECOND) is None
    assert plan.next_ns() is None


def test_the_longest_due_comes_first() -> None:
    plan = schedule()
    for number in range(5):
        plan.add(number, interval_ns=SECOND, now_ns=10 - number)
    assert [plan.take(now_ns=10)[0].item for _ in range(5)] == [4, 3, 2, 1, 0]


def test_what_was_removed_is_never_due() -> None:
    plan = schedule()
    place = plan.add("a", interval_ns=SECOND, now_ns=0)
    plan.add("b", interval_ns=SECOND, now_ns=0)
    plan.remove(place)
    assert plan.take(now_ns=0)[0].item == "b"
    assert plan.take(now_ns=0) is None


@given(
    seed=st.integers(0, 1000),
    interval=st.integers(1_000_000, 100 * SECOND),
    took=st.lists(st.floats(0, 3), min_size=5, max_size=40),
)
def test_checks_keep_their_pace_whatever_each_of_them_takes(seed, interval, took) -> None:
    """Never sooner than a third of the interval after the one before, never later than the time
    they take and one and a half intervals; and jitter does not add up."""
    plan, now = schedule(seed), 12345
    place = plan.add("a", interval_ns=interval, now_ns=now)
    for share in took:
        taken, due = plan.take(now_ns=now)
        assert taken is place
        began = now
        now += int(share * interval)
        due = plan.done(place, now_ns=now)
        assert due >= now
        assert due - began >= 0.39 * interval
        assert due <= max(began + 1.61 * interval, now + JITTER * interval + 1)
        off = (due - place.phase_ns) % interval / interval
        assert due == now or min(off, 1 - off) <= JITTER + 1e-6
        now = due


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_any_number_is_spread_evenly(count) -> None:
    plan = schedule()
    places = [plan.add(number, interval_ns=SECOND, now_ns=0) for number in range(count)]
    tenths = [place.phase_ns * 10 // SECOND for place in places]
    shares = [tenths.count(tenth) / count for tenth in range(10)]
    assert max(shares) <= 0.1 + 2 / count
    assert min(shares) >= 0.1 - 2 / count
