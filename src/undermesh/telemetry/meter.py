# SPDX-License-Identifier: Apache-2.0
"""One map of counters as it was last read, and how much each reading grew over the one before."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undermesh.telemetry.growth import Growth, Index, Layout, Matrix, Rows, Structured
from undermesh.telemetry.histogram import Sparse, concatenate

Chunk = tuple[Structured, Structured]
"""(keys, values) of some entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A map's entries without its empty bins: a few bytes where the kernel has kilobytes."""

    keys: Structured
    sums: Matrix
    last_ns: NDArray[np.uint64]
    cells: Sparse

    def growth(self) -> Growth:
        """Everything counted so far."""
        return Growth(keys=self.keys, sums=self.sums, bins=self.cells)

    def at(self, rows: Rows) -> "Reading":
        """Some of its entries."""
        groups = np.full(len(self.keys), -1, np.int64)
        groups[rows] = np.arange(len(rows))
        return Reading(
            keys=self.keys[rows],
            sums=self.sums[rows],
            last_ns=self.last_ns[rows],
            cells=self.cells.regroup(groups),
        )


@dataclass(slots=True)
class _Parts:
    """A reading while it is read."""

    keys: list[Structured]
    sums: list[Matrix]
    last_ns: list[NDArray[np.uint64]]
    cells: list[Sparse]
    before: list[Rows]
    """For each entry where it stood in the reading before, -1 where it is new or made anew."""
    grown: list[NDArray[np.bool_]]


class Meter:
    """Remembers one reading, and tells how much the next one grew over it."""

    def __init__(self, *, layout: Layout) -> None:
        self.layout = layout
        self.reading: Reading | None = None

    def __len__(self) -> int:
        return 0 if self.reading is None else len(self.reading.keys)

    def drop(self, rows: Rows) -> None:
        """Forgets entries that were deleted from the map since it was read."""
        if self.reading is not None and len(rows):
            left = np.ones(len(self.reading.keys), bool)
            left[rows] = False
            self.reading = self.reading.at(np.flatnonzero(left))

    def observe(self, chunks: Iterable[Chunk], empty: Chunk) -> Growth:
        """Takes the next reading, answers its growth; keys that did not grow are left out.

        `empty` is (keys, values) of no entries, for their types. The first reading is the base:
        what was counted before it grew at no known time. A key that went is left alone, one whose
        counters fell was deleted and made anew in between. A bin read torn (counted, not yet
        binned) shows in the next reading.
        """
        known = self.reading
        parts = self._read(chunks, empty, known)
        keys, sums = np.concatenate(parts.keys), np.concatenate(parts.sums)
        before, grown = np.concatenate(parts.before), np.concatenate(parts.grown)
        fresh = concatenate(parts.cells)
        kept, old = self._known_cells(known, before, grown)
        self.reading = Reading(
            keys=keys,
            sums=sums,
            last_ns=np.concatenate(parts.last_ns),
            cells=concatenate([kept, fresh]),
        )
        if known is None:
            return self.reading.at(np.zeros(0, np.int64)).growth()
        rows = np.flatnonzero(grown)
        groups = np.full(len(keys), -1, np.int64)
        groups[rows] = np.arange(len(rows))
        less = Sparse(row=old.row, bin=old.bin, count=-old.count)
        bins = concatenate([fresh, less]).regroup(groups).summed()
        more = bins.count > 0
        return Growth(
            keys=keys[rows],
            sums=sums[rows] - _sums_of(known, before[rows]),
            bins=Sparse(row=bins.row[more], bin=bins.bin[more], count=bins.count[more]),
        )

    def _read(self, chunks: Iterable[Chunk], empty: Chunk, known: Reading | None) -> _Parts:
        """All chunks. Bins are looked at only where an entry's counters moved."""
        parts = _Parts([], [], [], [], [], [])
        index = Index(empty[0] if known is None else known.keys)
        start = 0
        for keys, values in (empty, *chunks):
            sums = self.layout.matrix(values)
            before = index.positions(keys)
            base = np.zeros_like(sums) if known is None else _sums_of(known, before)
            before[(sums < base).any(axis=1)] = -1
            grown = (before < 0) | (sums != base).any(axis=1)
            parts.keys.append(keys)
            parts.sums.append(sums)
            parts.last_ns.append(values["last_ns"].astype(np.uint64))
            parts.before.append(before)
            parts.grown.append(grown)
            if self.layout.bins:
                rows = np.flatnonzero(grown)
                cells = Sparse.of(values["bins"][rows].astype(np.int64))
                parts.cells.append(cells.regroup(rows + start))
            start += len(keys)
        return parts

    def _known_cells(
        self, known: Reading | None, before: Rows, grown: NDArray[np.bool_]
    ) -> tuple[Sparse, Sparse]:
        """Cells of the reading before, by entry of the new one: of those that did not move, and of
        those that did."""
        if known is None or not self.layout.bins:
            return Sparse.empty(), Sparse.empty()
        kept, old = (np.full(len(known.keys), -1, np.int64) for _ in range(2))
        for groups, chosen in ((kept, ~grown), (old, grown)):
            rows = np.flatnonzero(chosen & (before >= 0))
            groups[before[rows]] = rows
        return known.cells.regroup(kept), known.cells.regroup(old)


def _sums_of(known: Reading, rows: Rows) -> Matrix:
    """Counters of some entries; zeros for -1."""
    sums = np.zeros((len(rows), known.sums.shape[1]), np.int64)
    found = rows >= 0
    sums[found] = known.sums[rows[found]]
    return sums
