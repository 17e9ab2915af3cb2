# SPDX-License-Identifier: Apache-2.0
"""Counters as rows of the ledger, and back."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from undermesh.app.ports import Structured, Words
from undermesh.telemetry import rowkeys
from undermesh.telemetry.growth import SERIES, Growth, Layout, Rows
from undermesh.telemetry.histogram import Sparse
from undermesh.telemetry.meter import Reading
from undermesh.telemetry.naming import NamedSeries, SeriesKey

BATCH = 256
"""Entries handled at a time: with all bins written out, one has 6 kB."""


def readings(reading: Reading | None, rows: Rows) -> Iterator[Reading]:
    """Some entries of a reading, a batch at a time: written out, a batch takes megabytes."""
    if reading is not None:
        for start in range(0, len(rows), BATCH):
            yield reading.at(rows[start : start + BATCH])


def batches(
    contents: tuple[Structured, Structured] | None,
) -> Iterator[tuple[Structured, Structured]]:
    """(keys, values) a batch at a time; nothing of None."""
    if contents is None:
        return
    keys, values = contents
    for start in range(0, len(keys), BATCH):
        yield keys[start : start + BATCH], values[start : start + BATCH]


def vectors(layout: Layout, growth: Growth, bins: int) -> Words:
    """Counters and bins of every key side by side, as the ledger's columns are."""
    dense = np.zeros((len(growth), bins), np.int64)
    dense[growth.bins.row, growth.bins.bin] = growth.bins.count
    return np.hstack([growth.sums, dense])


def edge_vectors(sums: Words, last_ns: NDArray[np.uint64]) -> Words:
    """Counters, and when each was counted last."""
    return np.column_stack([sums, last_ns.astype(np.int64)])


def drop_vectors(values: Structured) -> Words:
    """Packets, bytes, time of the last."""
    return np.stack([values[name] for name in ("packets", "bytes", "last_ns")], axis=1).astype(
        np.int64
    )


def named_series(encoded: Sequence[bytes], values: Words) -> NamedSeries:
    keys: tuple[SeriesKey, ...] = tuple(rowkeys.decode_series(key) for key in encoded)
    width = SERIES.width
    return NamedSeries(keys=keys, sums=values[:, :width], bins=Sparse.of(values[:, width:]))
