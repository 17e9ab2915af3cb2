# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undermesh.telemetry.histogram import Sparse, concatenate, edges, quantiles

BINS = 722


def bin_of(ns: int) -> int:
    """The rule of bpf/abi/series.h, written down a second time."""
    if ns < 1000:
        return 0
    for decade in range(8):
        unit = 10 ** (decade + 2)
        if ns < 100 * unit:
            return 1 + 90 * decade + ns // unit - 10
    return BINS - 1


def cells(samples, row=0):
    counts = np.bincount([bin_of(int(ns)) for ns in samples], minlength=BINS)
    return Sparse.of(np.vstack([np.zeros((row, BINS), np.int64), counts[None, :]]).astype(np.int64))


def one(samples, probability):
    return quantiles(cells(samples), rows=1, probabilities=(probability,), bins=BINS)[0, 0]


def test_every_bin_lies_between_its_edges():
    lower = edges(BINS)
    assert len(lower) == BINS + 1
    assert lower[0] == 0
    assert lower[1] == 1_000
    assert lower[BINS - 1] == 100_000_000_000
    for bin_ in range(1, BINS - 1):
        assert bin_of(int(lower[bin_])) == bin_
        assert bin_of(int(lower[bin_ + 1]) - 1) == bin_


@given(st.lists(st.integers(1_000, 10**11 - 1), min_size=1, max_size=300))
def test_a_quantile_is_within_a_bin_of_the_true_one(samples):
    for probability in (0.0, 0.5, 0.9, 0.99, 1.0):
        below = np.quantile(samples, probability, method="lower")
        above = np.quantile(samples, probability, method="higher")
        found = one(samples, probability)
        assert below / 1.11 <= found <= above * 1.11


def test_percentiles_of_a_heavy_tail_are_within_two_percent():
    generator = np.random.default_rng(7)
    samples = 12e6 * np.exp(generator.normal(0, 0.8, 60_000))
    for probability in (0.5, 0.9, 0.99):
        assert one(samples, probability) == pytest.approx(
            np.quantile(samples, probability), rel=0.02
        )


def test_no_counts_have_no_quantile():
    assert np.isnan(quantiles(Sparse.empty(), rows=2, probabilities=(0.5,), bins=BINS)).all()


def test_rows_do_not_mix():
    both = concatenate([cells([5_000_000] * 100), cells([80_000] * 100, row=2)]).summed()
    found = quantiles(both, rows=3, probabilities=(0.5,), bins=BINS)[:, 0]
    assert found[0] == pytest.approx(5_000_000, rel=0.05)
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(80_000, rel=0.05)


def test_a_merged_histogram_is_that_of_all_samples():
    generator = np.random.default_rng(1)
    left = generator.integers(10**4, 10**8, 1000)
    right = generator.integers(10**6, 10**9, 1000)
    merged = concatenate([cells(left), cells(right)]).summed()
    together = cells(np.concatenate([left, right]))
    assert (merged.bin == together.bin).all()
    assert (merged.count == together.count).all()


def test_beyond_the_last_edge_the_edge_is_told():
    assert one([10**12] * 3, 0.5) == 1e11


def test_regrouping_leaves_out_negative_groups():
    kept = concatenate([cells([5000]), cells([7000], row=1)]).regroup(np.array([-1, 4]))
    assert kept.row.tolist() == [4]
