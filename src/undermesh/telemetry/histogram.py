# SPDX-License-Identifier: Apache-2.0
"""circllhist bins of two decimal digits, and quantiles out of their counts.

The layout is bpf/abi/series.h's: bin 0 below 1 µs, eight decades of 90 bins each, the last bin from
100 s up. Bins of two histograms add, so percentiles over CPUs, rows, time and nodes are those of
the merged stream. Source: OpenHistogram, libcircllhist.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS_PER_DECADE = 90
LOWEST_NS = 1000

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def edges(bins: int) -> Floats:
    """Lower edges of `bins` bins in ns, and behind them the upper edge of the last.

    The last bin has no width: whatever is in it is told as its lower edge, 100 s.
    """
    decades = (bins - 2) // BINS_PER_DECADE
    digits = np.arange(10, 100, dtype=np.float64)
    inner = np.concatenate([digits * (LOWEST_NS / 10) * 10.0**k for k in range(decades)])
    top = LOWEST_NS * 10.0**decades
    return np.concatenate([[0.0], inner, [top, top]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparse:
    """Non-zero bins of many histograms: parallel arrays of histogram, bin and count."""

    row: NDArray[np.uint32]
    bin: NDArray[np.uint16]
    count: Counts

    @classmethod
    def empty(cls) -> "Sparse":
        return cls(
            row=np.zeros(0, np.uint32), bin=np.zeros(0, np.uint16), count=np.zeros(0, np.int64)
        )

    @classmethod
    def of(cls, dense: NDArray[np.int64]) -> "Sparse":
        """The non-zero cells of a (histograms, bins) array."""
        row, bin_ = np.nonzero(dense)
        return cls(row=row.astype(np.uint32), bin=bin_.astype(np.uint16), count=dense[row, bin_])

    def __len__(self) -> int:
        return len(self.row)

    def regroup(self, groups: NDArray[np.int64]) -> "Sparse":
        """The same counts with histogram i renamed to groups[i]; negative groups are left out."""
        row = groups[self.row]
        kept = row >= 0
        return Sparse(row=row[kept].astype(np.uint32), bin=self.bin[kept], count=self.count[kept])

    def summed(self) -> "Sparse":
        """One cell per (histogram, bin), in order of both."""
        code = self.row.astype(np.int64) << 16 | self.bin
        unique, inverse = np.unique(code, return_inverse=True)
        count = np.zeros(len(unique), np.int64)
        np.add.at(count, inverse, self.count)
        return Sparse(
            row=(unique >> 16).astype(np.uint32),
            bin=(unique & 0xFFFF).astype(np.uint16),
            count=count,
        )


def concatenate(parts: list[Sparse]) -> Sparse:
    """All cells of `parts`, in order."""
    if not parts:
        return Sparse.empty()
    return Sparse(
        row=np.concatenate([part.row for part in parts]),
        bin=np.concatenate([part.bin for part in parts]),
        count=np.concatenate([part.count for part in parts]),
    )


def quantiles(cells: Sparse, *, rows: int, probabilities: tuple[float, ...], bins: int) -> Floats:
    """Quantiles in ns, shape (rows, probabilities); NaN in rows without counts.

    Type 7 ranks (h = (n - 1) p, Hyndman & Fan 1996), with the n samples of a bin taken to lie
    evenly within it. `cells` must be `summed()`.
    """
    totals = np.zeros(rows, np.int64)
    np.add.at(totals, cells.row, cells.count)
    result = np.full((rows, len(probabilities)), np.nan)
    filled = np.flatnonzero(totals)
    if not len(filled):
        return result
    running = np.cumsum(cells.count)
    before_row = np.concatenate([[0], np.cumsum(totals)])[:-1][filled]
    lower = edges(bins)
    for column, probability in enumerate(probabilities):
        rank = before_row + (totals[filled] - 1) * probability
        cell = np.searchsorted(running, rank, side="right")
        within = (rank - (running[cell] - cells.count[cell]) + 0.5) / cells.count[cell]
        bin_ = cells.bin[cell].astype(np.int64)
        width = lower[bin_ + 1] - lower[bin_]
        result[filled, column] = lower[bin_] + width * np.clip(within, 0.0, 1.0)
    return result
