# SPDX-License-Identifier: Apache-2.0
"""Named counters of what the kernel no longer holds, in bounded memory.

Every row that ever was stays in the totals. Once more workloads are gone than are kept by name,
the ones gone longest share a row per namespace, "(gone)"; external names go back to "world"; and
where single clients used more ports than there are rows kept, the oldest share port 0.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from undermesh.model.edge import WORLD, EdgeKey, End, EndKind
from undermesh.model.protocol import Protocol
from undermesh.telemetry.growth import EDGES, SERIES
from undermesh.telemetry.histogram import Sparse
from undermesh.telemetry.naming import NamedEdges, NamedSeries, SeriesKey, Triple

Alive = Callable[[End], bool]
Key = TypeVar("Key", EdgeKey, SeriesKey)

_SLACK = 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge(Generic[Key]):
    """Rows that became one."""

    sources: tuple[Key, ...]
    into: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Merges:
    """What a ledger must merge to hold the same rows."""

    edges: tuple[Merge[EdgeKey], ...]
    series: tuple[Merge[SeriesKey], ...]


@dataclass(slots=True)
class _Series:
    sums: NDArray[np.int64]
    bins: dict[int, int]


class Kept:
    """Totals of what is gone. `ends` is how many gone workloads and names are kept apart, `rows`
    how many rows of theirs."""

    def __init__(self, *, ends: int, rows: int) -> None:
        self._ends_kept = ends
        self._rows_kept = rows
        self._edges: dict[EdgeKey, NDArray[np.int64]] = {}
        self._series: dict[SeriesKey, _Series] = {}
        self._series_of: defaultdict[EdgeKey, set[SeriesKey]] = defaultdict(set)
        self._rows_of: defaultdict[End, set[EdgeKey]] = defaultdict(set)
        self._ends: OrderedDict[End, None] = OrderedDict()
        self.protocols: dict[Triple, Protocol] = {}
        """What is spoken between ends on a port, as far as a row kept says more than `tcp`."""

    def __len__(self) -> int:
        return len(self._rows())

    def add_edges(self, named: NamedEdges) -> None:
        """Adds connection counters to their rows."""
        for key, sums in zip(named.keys, named.sums, strict=True):
            self._touch(key)
            held = self._edges.get(key)
            self._edges[key] = sums.copy() if held is None else held + sums

    def add_series(self, named: NamedSeries) -> None:
        """Adds request counters to their rows."""
        for key, sums in zip(named.keys, named.sums, strict=True):
            if key.edge not in self._edges:
                self._touch(key.edge)
            self._series_of[key.edge].add(key)
            held = self._series.setdefault(key, _Series(np.zeros(SERIES.width, np.int64), {}))
            held.sums = held.sums + sums
        cells = named.bins
        for row, bin_, count in zip(
            cells.row.tolist(), cells.bin.tolist(), cells.count.tolist(), strict=True
        ):
            bins = self._series[named.keys[row]].bins
            bins[bin_] = bins.get(bin_, 0) + count

    def edges(self) -> NamedEdges:
        """All connection counters kept."""
        sums = np.array(list(self._edges.values()), np.int64).reshape(-1, EDGES.width)
        return NamedEdges(keys=tuple(self._edges), sums=sums)

    def series(self) -> NamedSeries:
        """All request counters kept."""
        held = self._series.values()
        sums = np.array([one.sums for one in held], np.int64).reshape(-1, SERIES.width)
        row = np.repeat(np.arange(len(held), dtype=np.uint32), [len(one.bins) for one in held])
        bins = [bin_ for one in held for bin_ in one.bins]
        count = [count for one in held for count in one.bins.values()]
        cells = Sparse(row=row, bin=np.array(bins, np.uint16), count=np.array(count, np.int64))
        return NamedSeries(keys=tuple(self._series), sums=sums, bins=cells)

    @property
    def overfull(self) -> bool:
        """Whether `shrink` has something to do; with some slack, so that it works in batches."""
        ends, rows = len(self._ends), len(self._edges)
        return ends > self._ends_kept * _SLACK or rows > self._rows_kept * _SLACK

    def shrink(self, *, alive: Alive) -> Merges:
        """Back within bounds; answers what was merged, for the ledger to do the same."""
        renames: dict[EdgeKey, EdgeKey] = {}
        if len(self._ends) > self._ends_kept:
            for end in self._longest_gone(alive):
                for key in tuple(self._rows_of.pop(end, ())):
                    self._rename(key, _without(key, end), renames)
        surplus = len(self._edges) - self._rows_kept
        if surplus > 0:
            for key in [key for key in self._edges if key.port][:surplus]:
                self._rename(key, replace(key, port=0), renames)
        return self._merges(renames)

    def _rows(self) -> Mapping[EdgeKey, None]:
        return dict.fromkeys([*self._edges, *self._series_of])

    def _touch(self, key: EdgeKey) -> None:
        if key.protocol is not Protocol.TCP:
            self.protocols[key.client, key.server, key.port] = key.protocol
        for end in (key.client, key.server):
            if end.kind in (EndKind.WORKLOAD, EndKind.EXTERNAL):
                self._rows_of[end].add(key)
                self._ends[end] = None
                self._ends.move_to_end(end)

    def _longest_gone(self, alive: Alive) -> Iterator[End]:
        """Ends to let go of. One that is there again counts as the latest gone."""
        for _ in range(len(self._ends)):
            if len(self._ends) <= self._ends_kept:
                return
            end, _nothing = self._ends.popitem(last=False)
            if alive(end):
                self._ends[end] = None
            else:
                yield end

    def _rename(self, old: EdgeKey, new: EdgeKey, renames: dict[EdgeKey, EdgeKey]) -> None:
        """Moves a row's counters and notes it in `renames`."""
        for end in (old.client, old.server):
            if end in self._rows_of:
                self._rows_of[end].discard(old)
                self._rows_of[end].add(new)
        self.protocols.pop((old.client, old.server, old.port), None)
        edge = self._edges.pop(old, None)
        if edge is not None:
            held = self._edges.get(new)
            self._edges[new] = edge if held is None else held + edge
        for key in self._series_of.pop(old, ()):
            self._move_series(key, SeriesKey(new, key.method, key.status))
        renames[old] = new

    def _move_series(self, old: SeriesKey, new: SeriesKey) -> None:
        series = self._series.pop(old)
        self._series_of[new.edge].add(new)
        held = self._series.setdefault(new, _Series(np.zeros(SERIES.width, np.int64), {}))
        held.sums = held.sums + series.sums
        for bin_, count in series.bins.items():
            held.bins[bin_] = held.bins.get(bin_, 0) + count

    def _merges(self, renames: dict[EdgeKey, EdgeKey]) -> Merges:
        sources: defaultdict[EdgeKey, list[EdgeKey]] = defaultdict(list)
        for old, new in renames.items():
            final = new
            while final in renames:
                final = renames[final]
            sources[final].append(old)
        edges = [
            Merge(sources=tuple(old), into=new)
            for new, old in sources.items()
            if new in self._edges
        ]
        series = [
            Merge(sources=tuple(SeriesKey(one, key.method, key.status) for one in old), into=key)
            for new, old in sources.items()
            for key in self._series_of.get(new, ())
        ]
        return Merges(edges=tuple(edges), series=tuple(series))


def gone(namespace: str) -> End:
    """The end that workloads of a namespace share once they are forgotten."""
    return End(EndKind.GONE, namespace, "(gone)")


def _without(key: EdgeKey, end: End) -> EdgeKey:
    """`key` with a forgotten end in place of `end`."""
    blank = WORLD if end.kind is EndKind.EXTERNAL else gone(end.namespace)
    return replace(
        key,
        client=blank if key.client == end else key.client,
        server=blank if key.server == end else key.server,
    )
