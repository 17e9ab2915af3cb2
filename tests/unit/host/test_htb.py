# SPDX-License-Identifier: Apache-2.0
"""What a device should schedule, and the steps that bring it there."""

from dataclasses import replace

from undermesh.host import htb
from undermesh.host.htb import (
    AddRoot,
    DropClass,
    DropFilter,
    PutBurst,
    PutClass,
    PutFilter,
    PutLeaf,
)
from undermesh.model.priority import TrafficClass, class_id
from undermesh.model.service import Level

GIGABIT = 1_000_000_000
LEVELS = tuple(TrafficClass(id=class_id(level), level=level) for level in Level)
CRITICAL, NORMAL, BULK = (one.id for one in LEVELS)
OWN = TrafficClass(
    id=class_id(Level.BULK, 9), level=Level.BULK, rate=8_000_000, ceiling=40_000_000, dscp=(8,)
)
NOTHING = htb.Scheduled(root=False)


def test_levels_borrow_in_order_up_to_the_whole_device():
    found = htb.wanted(LEVELS, speed=GIGABIT).classes
    assert found[htb.WHOLE].rate == found[htb.WHOLE].ceiling == GIGABIT
    assert [found[one].prio for one in (CRITICAL, NORMAL, BULK)] == [0, 1, 2]
    assert [found[one].ceiling for one in (CRITICAL, NORMAL, BULK)] == [GIGABIT] * 3
    assert found[CRITICAL].rate > found[NORMAL].rate > found[BULK].rate


def test_guarantees_never_add_up_to_more_than_the_device():
    many = [replace(OWN, id=class_id(Level.CRITICAL, n), rate=0) for n in range(2, 60)]
    found = htb.wanted((*LEVELS, *many, OWN), speed=GIGABIT).classes
    assert sum(one.rate for number, one in found.items() if number != htb.WHOLE) <= GIGABIT


def test_a_rate_and_a_ceiling_are_kept():
    found = htb.wanted((*LEVELS, OWN), speed=GIGABIT).classes[OWN.id]
    assert (found.rate, found.ceiling) == (8_000_000, 40_000_000)


def test_a_ceiling_above_the_device_is_the_device():
    fast = replace(OWN, ceiling=10 * GIGABIT)
    assert htb.wanted((*LEVELS, fast), speed=GIGABIT).classes[OWN.id].ceiling == GIGABIT


def test_a_ceiling_alone_bounds_what_is_guaranteed():
    slow = replace(OWN, rate=0, ceiling=1_000_000)
    found = htb.wanted((*LEVELS, slow), speed=0).classes[OWN.id]
    assert found.rate == found.ceiling == 1_000_000


def test_from_nothing_the_root_comes_first_and_filters_last():
    steps = list(htb.steps(htb.wanted((*LEVELS, OWN), speed=GIGABIT), NOTHING))
    kinds = [type(step) for step in steps]
    assert kinds == [AddRoot, *[PutClass] * 5, *[PutLeaf] * 4, *[PutFilter] * 2, PutBurst]
    first = steps[1]
    assert isinstance(first, PutClass)
    assert first.id == htb.WHOLE


def test_what_is_there_already_needs_no_step():
    there = htb.wanted((*LEVELS, OWN), speed=GIGABIT)
    assert list(htb.steps(there, there)) == []


def test_one_rate_changed_is_one_step():
    there = htb.wanted((*LEVELS, OWN), speed=0)
    to = htb.wanted((*LEVELS, replace(OWN, ceiling=80_000_000)), speed=0)
    steps = list(htb.steps(to, there))
    assert steps == [PutClass(OWN.id, to.classes[OWN.id]), PutBurst(to.burst)]


def test_a_class_goes_after_the_filters_that_name_it():
    there = htb.wanted((*LEVELS, OWN), speed=0)
    steps = [
        step
        for step in htb.steps(htb.wanted(LEVELS, speed=0), there)
        if not isinstance(step, (PutClass, PutBurst))
    ]
    assert steps == [DropFilter((htb.IPV4, 8)), DropFilter((htb.IPV6, 8)), DropClass(OWN.id)]


def test_a_slow_class_keeps_bursts_short():
    assert htb.wanted(LEVELS, speed=GIGABIT).burst == htb.USUAL_BURST
    burst = htb.wanted((*LEVELS, OWN), speed=GIGABIT).burst
    assert burst * 8 / OWN.ceiling < 0.0011
    assert htb.is_ours(burst)


def test_a_burst_that_somebody_else_has_set_is_left_alone():
    steps = list(htb.steps(htb.wanted((*LEVELS, OWN), speed=0), replace(NOTHING, burst=32_768)))
    assert not any(isinstance(step, PutBurst) for step in steps)


def test_a_burst_of_ours_goes_when_nothing_is_slow_any_more():
    there = htb.wanted((*LEVELS, OWN), speed=0)
    assert PutBurst(htb.USUAL_BURST) in htb.steps(htb.wanted(LEVELS, speed=0), there)
