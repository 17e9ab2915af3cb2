# SPDX-License-Identifier: Apache-2.0
"""Tables give each backend what its weight says, and little moves when one goes."""

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undermesh.traffic import balancing, maglev


def chances(slots, count):
    backend, other, threshold = slots
    found = [Fraction(0)] * count
    for b, o, t in zip(backend.tolist(), other.tolist(), threshold.tolist(), strict=True):
        found[b] += Fraction(t, 2**32 * len(backend))
        found[o] += Fraction(2**32 - t, 2**32 * len(backend))
    return found


WEIGHTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=40).filter(any)


@given(WEIGHTS)
def test_alias_chances_are_the_weights(weights):
    found = chances(balancing.alias(weights), len(weights))
    whole = sum(weights)
    for weight, chance in zip(weights, found, strict=True):
        assert abs(chance - Fraction(weight, whole)) <= Fraction(1, 2**32)
        assert weight or not chance


def test_ninety_to_ten_is_so_by_chi_square():
    backend, other, threshold = balancing.alias([90, 10])
    random = np.random.default_rng(7)
    draws = 100_000
    slot = random.integers(0, len(backend), draws)
    low = random.integers(0, 2**32, draws) < threshold[slot]
    drawn = np.bincount(np.where(low, backend[slot], other[slot]), minlength=2)
    expected = np.array([0.9, 0.1]) * draws
    assert float(((drawn - expected) ** 2 / expected).sum()) < 10.83  # p = 0.001, one degree


def test_weights_that_sum_to_zero_have_no_table():
    with pytest.raises(ValueError, match="none of 2 weights is positive"):
        balancing.alias([0, 0])
    with pytest.raises(ValueError, match="none of 1 weights is positive"):
        maglev.table([b"a"], [0], 1021)


def by_turns(keys, size):
    """The population of the paper, one slot at a time, over the same permutations."""
    filling_order = sorted(range(len(keys)), key=lambda i: (maglev.digest(keys[i]), keys[i]))
    inverse = maglev.inverses(size)
    ways = {}
    for i in filling_order:
        seeds = np.frombuffer(maglev.digest(keys[i]), "<u8")
        start, shift, scale = (int(seed % np.uint64(size - 1)) for seed in seeds)
        numbers = (shift + (scale + 1) * inverse[(start + np.arange(size)) % size]) % size
        assert len(set(numbers.tolist())) == size
        ways[i] = iter(numbers.tolist())
    table = [-1] * size
    left = size
    while left:
        for i in filling_order:
            slot = next(s for s in ways[i] if table[s] < 0)
            table[slot] = i
            left -= 1
            if not left:
                break
    return table


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40, 250])
def test_maglev_is_what_taking_turns_gives(count):
    keys = [b"backend %d" % i for i in range(count)]
    assert maglev.table(keys, [1] * count, 251).tolist() == by_turns(keys, 251)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=2, max_size=30).filter(any))
def test_slot_by_slot_and_all_at_once_are_one_table(weights):
    keys = [b"s%d" % i for i in range(len(weights))]
    few = maglev.table(keys, weights, 1021)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maglev, "FEW", 0)
        assert maglev.table(keys, weights, 1021).tolist() == few.tolist()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=12))
def test_maglev_slots_are_as_the_weights(weights):
    keys = [b"w%d" % i for i in range(len(weights))]
    size = balancing.maglev_size(len(weights))
    count = np.bincount(maglev.table(keys, weights, size), minlength=len(weights))
    assert np.abs(count - size * np.array(weights) / sum(weights)).max() <= 2.5


def moved(keys, gone):
    """The share of the others' slots that move when one backend goes."""
    size = balancing.maglev_size(len(keys))
    before = maglev.table(keys, [1] * len(keys), size)
    weights = [int(i != gone) for i in range(len(keys))]
    after = maglev.table(keys, weights, size)
    others = before != gone
    return float((before != after)[others].mean())


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 20), st.integers(0, 10**6), st.data())
def test_when_one_goes_at_most_one_percent_of_the_others_moves(count, seed, data):
    keys = [b"%d %d" % (seed, i) for i in range(count)]
    assert moved(keys, data.draw(st.integers(0, count - 1))) <= 0.01


@pytest.mark.parametrize("count", [60, 100, 600, 1000])
def test_so_it_is_with_many(count):
    assert moved([b"many %d" % i for i in range(count)], count // 3) <= 0.01


def test_a_table_has_a_hundred_slots_a_backend_and_is_made_at_once():
    keys = [b"k%d" % i for i in range(1000)]
    began = time.perf_counter()
    table = maglev.table(keys, [1] * 1000, balancing.maglev_size(1000))
    assert time.perf_counter() - began < 3  # 0.3 s on an idle machine
    count = np.bincount(table)
    assert count.min() >= 100 and count.max() - count.min() <= 1


def test_the_order_backends_come_in_changes_nothing():
    keys = [b"o%d" % i for i in range(9)]
    one = maglev.table(keys, range(1, 10), 1021)
    other = maglev.table(keys[::-1], range(9, 0, -1), 1021)
    assert [keys[i] for i in one] == [keys[::-1][i] for i in other]


def test_one_heavy_backend_is_no_slower_than_its_slots():
    table = maglev.table([b"%d" % i for i in range(200)], [10**6] + [1] * 199, 65521)
    assert np.bincount(table)[0] > 65000


def test_a_size_in_force_is_kept_while_it_will_do():
    assert balancing.maglev_size(10) == 16381
    assert balancing.maglev_size(25, held=16381) == 32749
    assert balancing.maglev_size(20, held=32749) == 32749
    assert balancing.maglev_size(2, held=16381) == 1021
    assert balancing.maglev_size(10, held=7) == 16381
