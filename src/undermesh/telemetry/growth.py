# SPDX-License-Identifier: Apache-2.0
"""Counters of the kernel as matrices, and how much they grew between two readings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undermesh.telemetry.histogram import Sparse, concatenate

Structured = NDArray[np.void]
Matrix = NDArray[np.int64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Column:
    """One counter of a struct; an array of counters has a length."""

    name: str
    length: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which fields of a struct are cumulative counters, in the order of a matrix's columns."""

    columns: tuple[Column, ...]
    bins: bool

    @property
    def width(self) -> int:
        return sum(column.length for column in self.columns)

    def at(self, name: str) -> int:
        """First column of a field."""
        position = 0
        for column in self.columns:
            if column.name == name:
                return position
            position += column.length
        raise KeyError(name)

    def matrix(self, values: Structured) -> Matrix:
        """The counters of every entry, shape (entries, width)."""
        result = np.empty((len(values), self.width), np.int64)
        position = 0
        for column in self.columns:
            field = values[column.name]
            result[:, position : position + column.length] = field.reshape(len(values), column.length)
            position += column.length
        return result


SERIES = Layout(
    columns=tuple(
        Column(name)
        for name in (
            "requests",
            "duration_ns",
            "ended",
            "ended_ns",
            "request_bytes",
            "response_bytes",
        )
    ),
    bins=True,
)
FAILURES = 8
EDGES = Layout(
    columns=(
        Column("opened"),
        Column("closed"),
        Column("failures", FAILURES),
        Column("connect_ns"),
        Column("connects"),
        Column("tx_bytes"),
        Column("rx_bytes"),
        Column("tx_packets"),
        Column("rx_packets"),
        Column("retransmits"),
        Column("resets"),
        Column("rtt_us"),
        Column("rtts"),
        Column("desyncs"),
    ),
    bins=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Counts per kernel key: `sums` has shape (keys, layout.width), `bins` cells name their key."""

    keys: Structured
    sums: Matrix
    bins: Sparse

    def __len__(self) -> int:
        return len(self.keys)


def total(layout: Layout, keys: Structured, values: Structured) -> Growth:
    """Everything counted so far."""
    bins = Sparse.of(values["bins"].astype(np.int64)) if layout.bins else Sparse.empty()
    return Growth(keys=keys, sums=layout.matrix(values), bins=bins)


def joined(parts: Sequence[Growth]) -> Growth:
    """Several growths one after the other; a key may then occur more than once.

    `parts` must not be empty.
    """
    starts = np.cumsum([0, *(len(part) for part in parts)])
    cells = [
        Sparse(row=part.bins.row + np.uint32(start), bin=part.bins.bin, count=part.bins.count)
        for part, start in zip(parts, starts, strict=False)
    ]
    return Growth(
        keys=np.concatenate([part.keys for part in parts]),
        sums=np.concatenate([part.sums for part in parts]),
        bins=concatenate(cells),
    )


def positions(keys: Structured, among: Structured) -> Rows:
    """For each of `keys` where it stands in `among`, -1 where it does not."""
    if not len(among) or not len(keys):
        return np.full(len(keys), -1, np.int64)
    wanted, known = as_bytes(keys), as_bytes(among)
    if len(wanted) == len(known) and bool((wanted == known).all()):
        return np.arange(len(keys), dtype=np.int64)
    order = np.argsort(known)
    ordered = known[order]
    place = np.minimum(np.searchsorted(ordered, wanted), len(known) - 1)
    return np.where(ordered[place] == wanted, order[place], -1).astype(np.int64)


def as_bytes(keys: Structured) -> NDArray[np.void]:
    """Keys as opaque bytes, which numpy compares and sorts as memcmp does."""
    return np.ascontiguousarray(keys).view(f"V{keys.dtype.itemsize}")


class Meter:
    """Remembers one reading of a map, and tells how much the next one grew over it."""

    def __init__(self, *, layout: Layout) -> None:
        self.layout = layout
        self.keys: Structured | None = None
        self.values: Structured | None = None
        self._sums: Matrix | None = None

    def __len__(self) -> int:
        return 0 if self.keys is None else len(self.keys)

    def total(self) -> Growth | None:
        """The counters of the last reading; None before the first."""
        if self.keys is None or self.values is None:
            return None
        return total(self.layout, self.keys, self.values)

    def observe(self, keys: Structured, values: Structured) -> Growth:
        """Takes the next reading, answers its growth; keys that did not grow are left out.

        The first reading is the base: what was counted before it grew at no known time. A key
        that went is left alone, one whose counters fell was deleted and made anew in between.
        """
        sums = self.layout.matrix(values)
        before, known, known_sums = self.values, self.keys, self._sums
        self.keys, self.values, self._sums = keys, values, sums
        if known is None or before is None or known_sums is None:
            return self._growth(keys[:0].copy(), sums[:0].copy(), Sparse.empty())
        place = positions(keys, known)
        base = np.where(place[:, None] >= 0, known_sums[place], 0) if len(known) else sums * 0
        anew = (sums < base).any(axis=1)
        base[anew] = 0
        place[anew] = -1
        grown = np.flatnonzero((sums != base).any(axis=1))
        bins = self._bins(values, before, grown, place[grown])
        return self._growth(keys[grown], sums[grown] - base[grown], bins)

    def drop(self, rows: Rows) -> None:
        """Forgets entries that were deleted from the map since it was read."""
        if self.keys is None or self.values is None or self._sums is None or not len(rows):
            return
        left = np.ones(len(self.keys), bool)
        left[rows] = False
        self.keys, self.values = self.keys[left], self.values[left]
        self._sums = self._sums[left]

    def at(self, rows: Rows) -> Growth:
        """The counters of some entries of the last reading."""
        if self.keys is None or self.values is None:
            raise ValueError("nothing was read yet")
        return total(self.layout, self.keys[rows], self.values[rows])

    def _growth(self, keys: Structured, sums: Matrix, bins: Sparse) -> Growth:
        return Growth(keys=keys, sums=sums, bins=bins)

    def _bins(self, values: Structured, before: Structured, grown: Rows, place: Rows) -> Sparse:
        """Cells that grew. A cell read torn (counted, not yet binned) shows in the next reading."""
        if not self.layout.bins or not len(grown):
            return Sparse.empty()
        dense = values["bins"][grown].astype(np.int64)
        matched = place >= 0
        dense[matched] -= before["bins"][place[matched]].astype(np.int64)
        return Sparse.of(np.maximum(dense, 0))
