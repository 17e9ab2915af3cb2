# SPDX-License-Identifier: Apache-2.0
"""Tables that a backend is drawn from in the kernel: Walker's alias method and Maglev."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ALWAYS = 2**32 - 1
"""A threshold for slots whose two backends are the same one."""

RANGE = 2**32

SIZES = ((2, 1021), (4, 8191), (20, 16381), (100, 32749), (600, 65521), (1310, 131071))
"""Backends up to which a Maglev table has so many slots (primes below a power of two).

At least 100 slots a backend, and more than that for few backends: what moves of the others' slots
when one goes falls with the root of the size, and is to stay below 1 %. Measured, worst of 30 draws
(of 5 from 100 backends on): 3 backends 0.6 %, 10 backends 0.8 %, 20 backends 0.9 %, 100 backends
0.9 %, 1,000 backends 0.6 %.
"""

PRIMES = tuple(size for _, size in SIZES)

Column = NDArray[np.uint32]

Slots = tuple[Column, Column, Column]
"""backend, other, threshold of each slot; backends are positions in the weights given."""


def alias(weights: Sequence[int]) -> Slots:
    """One slot for each positive weight, by Vose's form of Walker's method, in whole numbers.

    The chance of each backend is weight / sum to within 2**-32 of one slot: thresholds are rounded
    once, nothing adds up. Raises ValueError when no weight is positive.
    """
    members = [position for position, weight in enumerate(weights) if weight > 0]
    if not members:
        raise ValueError(f"none of {len(weights)} weights is positive")
    count = len(members)
    first = weights[members[0]]
    if all(weights[position] == first for position in members):
        backend = np.array(members, np.uint32)
        return backend, backend, np.full(count, ALWAYS, np.uint32)
    return _uneven(members, [weights[position] for position in members])


def _uneven(members: list[int], weights: list[int]) -> Slots:
    whole = sum(weights)
    count = len(members)
    left = [weight * count for weight in weights]
    small = [i for i, amount in enumerate(left) if amount < whole]
    large = [i for i, amount in enumerate(left) if amount >= whole]
    other = list(range(count))
    threshold = [ALWAYS] * count
    while small and large:
        low, high = small.pop(), large[-1]
        other[low] = high
        threshold[low] = (2 * left[low] * RANGE + whole) // (2 * whole)
        left[high] -= whole - left[low]
        if left[high] < whole:
            small.append(large.pop())
    numbers = np.array(members, np.uint32)
    thresholds = np.minimum(np.array(threshold, np.uint64), ALWAYS).astype(np.uint32)
    return numbers, numbers[np.array(other)], thresholds


def maglev_size(backends: int, held: int = 0) -> int:
    """How many slots a table for so many backends has.

    `held` is the size in force: it is kept while it is large enough and not four times too large,
    because with another size every backend's slots move.
    """
    needed = next((size for most, size in SIZES if backends <= most), PRIMES[-1])
    return held if held in PRIMES and needed <= held < 5 * needed else needed
