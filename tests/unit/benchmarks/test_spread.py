# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from benchmarks import spread


def test_the_interval_of_the_mean_covers_it_as_often_as_it_says():
    chance = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        found = spread.interval(chance.normal(0.97, 0.02, 30).tolist())
        covered += found.low <= 0.97 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_same_values_have_the_same_interval():
    values = [0.95, 0.97, 0.96, 0.99, 0.91]
    assert spread.interval(values) == spread.interval(values)


def test_the_interval_lies_around_the_mean():
    found = spread.interval([0.9, 1.0, 1.1])
    assert found.low < 1.0 < found.high
    assert found.mean == pytest.approx(1.0)
    assert found.count == 3


def test_one_value_has_no_interval():
    with pytest.raises(ValueError, match="two values"):
        spread.interval([1.0])


def test_a_window_is_compared_with_both_its_neighbours():
    assert spread.neighbour_ratios([100, 95, 100, 90, 80]) == pytest.approx([0.95, 1.0])


def test_what_drifts_evenly_cancels():
    rates = [100 - i for i in range(21)]
    assert spread.neighbour_ratios(rates) == pytest.approx([1.0] * 10)


@pytest.mark.parametrize("windows", [[], [1.0], [1.0, 2.0], [1.0, 2.0, 3.0, 4.0]])
def test_windows_begin_and_end_with_the_same_kind(windows):
    with pytest.raises(ValueError, match="same kind"):
        spread.neighbour_ratios(windows)


def test_percentiles_are_those_of_the_values_themselves():
    assert spread.percentiles(list(range(101)), [0.5, 0.9, 0.99]) == [50, 90, 99]


def test_the_spread_is_told_with_its_number_of_values():
    assert spread.spread([1.0, 2.0, 3.0]).startswith("median 2, quartiles 1.5 to 2.5")
    assert spread.spread([1.0, 2.0, 3.0]).endswith("n = 3")
