# SPDX-License-Identifier: Apache-2.0
"""Medians, spreads, intervals and percentiles of what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with its 95 % confidence interval."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:.4f} (95 % interval {self.low:.4f} to {self.high:.4f})"


def interval(values: Sequence[float], *, seed: int = 1) -> Interval:
    """Bootstrap interval of the mean (Efron, percentile method): no shape is assumed, and bursts
    of other work on the machine give `values` a long tail. The same values give the same interval.

    Raises ValueError for fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"an interval needs two values at least, there are {len(values)}")
    array = np.asarray(values, float)
    drawn = np.random.default_rng(seed).integers(0, len(array), (RESAMPLES, len(array)))
    low, high = np.percentile(array[drawn].mean(axis=1), [2.5, 97.5])
    return Interval(mean=float(array.mean()), low=float(low), high=float(high), count=len(array))


def neighbour_ratios(windows: Sequence[float]) -> list[float]:
    """Of windows that alternate without, with, without … without: each `with` over the mean of
    its two neighbours, so that what drifts slowly cancels.

    Raises ValueError unless they begin and end with `without`.
    """
    if len(windows) < 3 or len(windows) % 2 == 0:
        raise ValueError(f"{len(windows)} windows do not begin and end with the same kind")
    around = [(a + b) / 2 for a, b in zip(windows[:-1:2], windows[2::2], strict=True)]
    return [inner / outer for inner, outer in zip(windows[1::2], around, strict=True)]


def median(values: Sequence[float]) -> float:
    """The middle one. Raises ValueError for none."""
    if not values:
        raise ValueError("no values to take the median of")
    return float(np.median(values))


def spread(values: Sequence[float]) -> str:
    """ "median 12.3, quartiles 11.9 to 12.8, range 11.0 to 14.1" """
    low, first, middle, third, high = np.percentile(values, [0, 25, 50, 75, 100])
    return (
        f"median {middle:,.4g}, quartiles {first:,.4g} to {third:,.4g}, "
        f"range {low:,.4g} to {high:,.4g}, n = {len(values)}"
    )


def percentiles(values: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Exact percentiles by rank, interpolated between neighbours; `shares` of 1."""
    return [float(p) for p in np.quantile(np.asarray(values, float), shares)]
