# SPDX-License-Identifier: Apache-2.0
"""The last records of a ring, in one block of memory that is made once."""

from collections.abc import Iterator

import numpy as np

from undermesh.telemetry.growth import Structured


class Records:
    """The newest `limit` records of one struct, oldest first. Counts what it was ever given.

    The block is zeroed memory: pages cost nothing until records fill them.
    """

    def __init__(self, *, dtype: np.dtype[np.void], limit: int) -> None:
        self.taken = 0
        self._block = np.zeros(limit, dtype)

    def __len__(self) -> int:
        return min(self.taken, len(self._block))

    def add(self, records: Structured) -> None:
        """Takes a batch; the oldest ones make room."""
        self.taken += len(records)
        records = records[-len(self._block) :]
        start = (self.taken - len(records)) % len(self._block)
        head = min(len(records), len(self._block) - start)
        self._block[start : start + head] = records[:head]
        self._block[: len(records) - head] = records[head:]

    def backwards(self, batch: int = 4096) -> Iterator[Structured]:
        """The records, newest batch first, each batch oldest first. Views: copy what is kept."""
        position, left = self.taken % len(self._block), len(self)
        while left:
            stop = position or len(self._block)
            size = min(batch, stop, left)
            yield self._block[stop - size : stop]
            position, left = stop - size, left - size
