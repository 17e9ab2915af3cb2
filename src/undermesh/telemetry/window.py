# SPDX-License-Identifier: Apache-2.0
"""What grew lately: one slice per sweep, kept for a bounded time in bounded memory."""

from collections import deque
from dataclasses import dataclass

from undermesh.telemetry.growth import Growth, joined


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What grew between two sweeps; times are ns of CLOCK_MONOTONIC."""

    start_ns: int
    end_ns: int
    series: Growth
    edges: Growth

    @property
    def cells(self) -> int:
        """A measure of its memory: one cell is 16 bytes at most."""
        return len(self.series.bins) + self.series.sums.size + self.edges.sums.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Slices joined: what grew from `start_ns` to `end_ns`. None where nothing was swept yet."""

    start_ns: int
    end_ns: int
    series: Growth | None
    edges: Growth | None


class Window:
    """The last slices, oldest first. What is too old or too much is forgotten, oldest first."""

    def __init__(self, *, length_ns: int, cells: int = 1_000_000) -> None:
        self._length_ns = length_ns
        self._cells_kept = cells
        self._cells = 0
        self._slices: deque[Slice] = deque()

    def __len__(self) -> int:
        return len(self._slices)

    def add(self, piece: Slice) -> None:
        """Takes the newest slice."""
        self._slices.append(piece)
        self._cells += piece.cells
        while len(self._slices) > 1 and self._surplus():
            self._cells -= self._slices.popleft().cells

    def last(self, length_ns: int, *, now_ns: int) -> Stretch:
        """The newest slices that together reach back at least `length_ns`, if so much is kept."""
        if not self._slices:
            return Stretch(start_ns=now_ns, end_ns=now_ns, series=None, edges=None)
        newest = self._slices[-1].end_ns
        chosen: list[Slice] = []
        for piece in reversed(self._slices):
            # Half a sweep of slack: ten sweeps of 1.003 s are the last ten seconds.
            if chosen and newest - piece.end_ns + (piece.end_ns - piece.start_ns) // 2 >= length_ns:
                break
            chosen.append(piece)
        chosen.reverse()
        return Stretch(
            start_ns=chosen[0].start_ns,
            end_ns=newest,
            series=joined([piece.series for piece in chosen]),
            edges=joined([piece.edges for piece in chosen]),
        )

    def _surplus(self) -> bool:
        oldest, newest = self._slices[0], self._slices[-1]
        too_old = newest.end_ns - oldest.end_ns >= self._length_ns
        return too_old or self._cells > self._cells_kept
