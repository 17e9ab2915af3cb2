# SPDX-License-Identifier: Apache-2.0
"""Which entries of the kernel's maps are ripe to be folded into named totals."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undermesh.telemetry.growth import Growth, Rows, Structured

Numbers = NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """When live entries are folded too: a map filled above `fill`, entries idle for `idle_ns`."""

    fill: float = 0.5
    idle_ns: int = 10 * 60 * 1_000_000_000


class Leaving:
    """Numbers whose workload is gone, and since when nothing was counted for them.

    Sockets outlive processes: a connection in FIN-WAIT still closes, retransmits, resets. A number
    is ripe when nothing moved for `quiet_ns`.
    """

    def __init__(self, *, quiet_ns: int) -> None:
        self._quiet_ns = quiet_ns
        self._since: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._since)

    def watch(self, numbers: Iterable[int], *, now_ns: int) -> None:
        """These are gone; ones already watched stay as they are."""
        for number in numbers:
            self._since.setdefault(number, now_ns)

    def forget(self, numbers: Iterable[int]) -> None:
        """These were folded, or are there again."""
        for number in numbers:
            self._since.pop(number, None)

    def moved(self, growth: Growth, *, now_ns: int) -> None:
        """Numbers that were counted for start their quiet time anew."""
        if not self._since or not len(growth):
            return
        for number in np.unique([growth.keys["client"], growth.keys["server"]]).tolist():
            if number in self._since:
                self._since[number] = now_ns

    def ripe(self, *, now_ns: int, limit: int) -> list[int]:
        """The first `limit` numbers that were quiet for long enough."""
        due = [number for number, since in self._since.items() if now_ns - since >= self._quiet_ns]
        return due[:limit]


def touching(keys: Structured, numbers: Iterable[int]) -> Rows:
    """Rows of `keys` that have one of `numbers` at either end."""
    wanted = np.fromiter(numbers, np.uint32)
    return np.flatnonzero(np.isin(keys["client"], wanted) | np.isin(keys["server"], wanted))


def orphans(keys: Structured, known: Numbers, first: int) -> list[int]:
    """Numbers at or above `first` in `keys` that nobody has: a socket spoke up after its owner's
    entry was removed."""
    used = np.unique([keys["client"], keys["server"]])
    return [int(one) for one in used[(used >= first) & ~np.isin(used, known)]]


def idle(last_ns: NDArray[np.uint64], *, now_ns: int, pressure: Pressure, max_entries: int) -> Rows:
    """Entries to fold because their map fills up: those idle for long, by the time each was last
    counted. None while there is room."""
    if len(last_ns) <= max_entries * pressure.fill:
        return np.zeros(0, np.int64)
    return np.flatnonzero(last_ns < np.uint64(max(0, now_ns - pressure.idle_ns)))
