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
            result[:, position : position + column.length] = field.reshape(
                len(values), column.length
            )
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


class Index:
    """Finds keys among those it was made of."""

    def __init__(self, keys: Structured) -> None:
        self._keys = as_bytes(keys)
        self._order = np.argsort(self._keys)
        self._ordered = self._keys[self._order]

    def positions(self, keys: Structured) -> Rows:
        """For each key where it stands, -1 where it does not."""
        if not len(self._keys) or not len(keys):
            return np.full(len(keys), -1, np.int64)
        wanted = as_bytes(keys)
        place = np.minimum(np.searchsorted(self._ordered, wanted), len(self._keys) - 1)
        return np.where(self._ordered[place] == wanted, self._order[place], -1).astype(np.int64)


def positions(keys: Structured, among: Structured) -> Rows:
    """For each of `keys` where it stands in `among`, -1 where it does not."""
    return Index(among).positions(keys)


def as_bytes(keys: Structured) -> NDArray[np.void]:
    """Keys as opaque bytes, which numpy compares and sorts as memcmp does."""
    return np.ascontiguousarray(keys).view(f"V{keys.dtype.itemsize}")
