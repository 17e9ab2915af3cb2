# SPDX-License-Identifier: Apache-2.0
"""Where new tables go in um_slots, and which numbers new backends get."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SPAN = np.dtype([("at", np.uint32), ("slots", np.uint32)])

Ints = NDArray[np.int64]


class Gaps:
    """The free spans of um_slots. First fit; each size remembers where it looked last, because
    gaps only shrink."""

    def __init__(self, used: Sequence[NDArray[np.void]], room: int) -> None:
        at = np.concatenate([spans["at"] for spans in used]).astype(np.int64)
        end = at + np.concatenate([spans["slots"] for spans in used])
        order = np.argsort(at, kind="stable")
        starts = np.append(at[order], room)
        ends = np.maximum.accumulate(np.concatenate([[0], end[order]]))
        free = starts > ends
        self._at: list[int] = ends[free].tolist()
        self._left: list[int] = (starts - ends)[free].tolist()
        self._from: dict[int, int] = {}

    def take(self, slots: int) -> int | None:
        """The first of so many free slots in a row; None when there are not."""
        position = self._from.get(slots, 0)
        while position < len(self._left) and self._left[position] < slots:
            position += 1
        self._from[slots] = position
        if position == len(self._left):
            return None
        at = self._at[position]
        self._at[position] += slots
        self._left[position] -= slots
        return at

    @property
    def largest(self) -> int:
        """How many slots the largest gap has."""
        return max(self._left, default=0)


def free_numbers(backends: NDArray[np.void], wanted: int) -> Ints:
    """Up to so many numbers nobody has. 0 is nobody for good."""
    free = np.flatnonzero(backends["service"][1:] == 0)
    return free[:wanted].astype(np.int64) + 1
