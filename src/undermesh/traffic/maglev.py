# SPDX-License-Identifier: Apache-2.0
"""Maglev tables (Eisenbud and others, NSDI'16, 3.4), with weights, for arrays.

In the paper's population backends take turns and each takes the first slot of its own permutation
that is still free. Turn by turn that is a loop of size × ln(size) steps. Here all backends of a
round propose at once: a slot keeps the foremost that proposed, the others go on to their next
choice. That is deferred acceptance with slots that all rank backends alike, whose only stable
outcome is that of taking turns: the same table, in some hundred array operations.

A permutation is shift + scale / (start + i) modulo the size, not the paper's offset + skip * i: two
arithmetic progressions whose skips are nearly multiples of each other run alongside, and then one
of three backends that goes moves a quarter of the others' slots (measured; with these it does not).
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

FEW = 48
"""Backends up to which a table is filled slot by slot (measured)."""

WINDOW = 8
"""Choices looked at at once."""

Ints = NDArray[np.int64]


def table(keys: Sequence[bytes], weights: Sequence[int], size: int) -> NDArray[np.uint32]:
    """Which backend each of `size` (prime) slots has, as positions in `keys`.

    A key names a backend for good: its permutation follows from it alone. Backends take turns in an
    order that follows from the keys too, so the order they come in changes nothing. Raises
    ValueError when no weight is positive.
    """
    digests = [digest(key) for key in keys]
    order = sorted(
        (i for i, weight in enumerate(weights) if weight > 0), key=lambda i: (digests[i], keys[i])
    )
    if not order:
        raise ValueError(f"none of {len(weights)} weights is positive")
    parts = np.array([np.frombuffer(digests[i], "<u8") for i in order], np.uint64)
    seeds = (parts % np.uint64(size - 1)).astype(np.int64)
    if len(order) <= FEW:
        owner = _one_by_one(seeds, _shares([weights[i] for i in order]), size)
        return np.array(order, np.uint32)[owner]
    filling = _Filling(seeds, size)
    turns = _Turns(np.array(_shares([weights[i] for i in order])), len(order))
    while filling.free > 0:
        for active, times in turns.following():
            if times > 1:
                filling.take_alone(int(active[0]), min(times, filling.free))
            else:
                filling.take(active[: filling.free])
            if filling.free <= 0:
                break
    return np.array(order, np.uint32)[filling.owner]


def _shares(weights: Sequence[int]) -> list[float]:
    """Of the sum of the weights, which may be larger than any float is exact for."""
    whole = sum(weights)
    return [weight / whole for weight in weights]


def digest(key: bytes) -> bytes:
    """Three numbers of 64 bits that a backend's permutation is made of."""
    return hashlib.blake2b(key, digest_size=24).digest()


@cache
def inverses(prime: int) -> Ints:
    """The inverse of every number modulo a prime; that of 0 is 0."""
    result = [0, 1]
    for number in range(2, prime):
        result.append(prime - (prime // number) * result[prime % number] % prime)
    return np.array(result, np.int64)


def _one_by_one(seeds: Ints, shares: Sequence[float], size: int) -> list[int]:
    """The same table slot by slot: with few backends a round is too short for arrays."""
    count = len(shares)
    inverse, place = inverses(size), np.arange(size)
    ways = []
    for start, shift, scale in seeds.tolist():
        way = (shift + (scale + 1) * inverse[(start + place) % size]) % size
        ways.append(iter(way.tolist()))
    even = min(shares) == max(shares)
    credit = [1e-9] * count
    due = [1] * count
    owner = [-1] * size
    left = size
    while True:
        if not even:
            for backend in range(count):
                credit[backend] += shares[backend] * count
                due[backend] = int(credit[backend])
                credit[backend] -= due[backend]
        for turn in range(max(due)):
            for backend in range(count):
                if due[backend] <= turn:
                    continue
                for slot in ways[backend]:
                    if owner[slot] < 0:
                        owner[slot] = backend
                        break
                left -= 1
                if not left:
                    return owner


class _Turns:
    """Whose turn it is: in each round a backend has as many turns as the mean has one."""

    def __init__(self, shares: NDArray[np.float64], count: int) -> None:
        self._rate = shares * count
        self._credit = np.full(count, 1e-9)
        self._even = bool(np.ptp(shares) == 0.0)
        self._all = np.arange(count)

    def following(self) -> Iterator[tuple[Ints, int]]:
        """One round: sets of backends, each set taking one turn; a single one may take more."""
        if self._even:
            yield self._all, 1
            return
        self._credit += self._rate
        due = np.floor(self._credit).astype(np.int64)
        self._credit -= due
        most = int(due.max(initial=0))
        for turn in range(most):
            active = np.flatnonzero(due > turn)
            if len(active) == 1:
                yield active, most - turn
                return
            yield active, 1


class _Filling:
    """A table being filled. `owner` is the backend of a slot, in order of turns."""

    def __init__(self, seeds: Ints, size: int) -> None:
        self._start, self._shift, self._scale = seeds.T + np.array([[0], [0], [1]])
        self._size = size
        self._inverse = inverses(size)
        self._none = len(seeds)
        self._step = np.zeros(self._none, np.int64)
        self._at = np.zeros(self._none, np.int64)
        self._window = np.arange(WINDOW, dtype=np.int64)
        # -1: taken in a turn before; a backend: kept for it in this one; _none: free.
        self._kept = np.full(size, self._none, np.int64)
        self.owner: Ints = np.zeros(size, np.int64)
        self.free = size

    def take(self, active: Ints) -> None:
        """One turn of these backends, foremost first."""
        choice = self._at
        moving = active
        while len(moving):
            self._advance(moving)
            wanted = choice[moving]
            # Foremost last: of several that write to one slot, numpy keeps the last.
            self._kept[wanted[::-1]] = moving[::-1]
            lost = active[self._kept[choice[active]] != active]
            moving = lost
        slots = choice[active]
        self.owner[slots] = active
        self._kept[slots] = -1
        self.free -= len(active)

    def take_alone(self, backend: int, times: int) -> None:
        """Several turns of one backend, nobody else's in between."""
        while times:
            width = min(2 * times + WINDOW, self._size)
            step = self._step[backend] + np.arange(width)
            inverse = self._inverse[(self._start[backend] + step) % self._size]
            slots = (self._shift[backend] + self._scale[backend] * inverse) % self._size
            found = np.flatnonzero(self._kept[slots] == self._none)[:times]
            taken = slots[found]
            self.owner[taken] = backend
            self._kept[taken] = -1
            self._step[backend] += width if len(found) < times else found[-1] + 1
            self.free -= len(found)
            times -= len(found)

    def _advance(self, moving: Ints) -> None:
        """Moves each to its first choice from here on that is free or kept for one behind it."""
        while len(moving):
            step = self._step[moving, None] + self._window
            inverse = self._inverse[(self._start[moving, None] + step) % self._size]
            candidates = (
                self._shift[moving, None] + self._scale[moving, None] * inverse
            ) % self._size
            open_ = self._kept[candidates] > moving[:, None]
            found = open_.argmax(axis=1)
            has = open_[np.arange(len(moving)), found]
            self._at[moving] = candidates[np.arange(len(moving)), found]
            self._step[moving] += np.where(has, found, WINDOW)
            moving = moving[~has]
