# SPDX-License-Identifier: Apache-2.0
"""Takes what is gone out of the kernel's maps, into named totals, each count exactly once.

Read → ledger.begin → delete from the kernel → ledger.commit. Killed anywhere in between, the next
agent finds the note in the ledger and, by what the kernel still holds, counts it or does it again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undermesh.app.ledger_rows import (
    batches,
    drop_vectors,
    edge_vectors,
    named_series,
    readings,
    vectors,
)
from undermesh.app.limits import Limits
from undermesh.app.ports import Book, Pending, Ports, Structured, Words
from undermesh.app.recorder import Recorder
from undermesh.model.edge import End, EndKind
from undermesh.telemetry import rowkeys
from undermesh.telemetry.drops import DropKey, DropReader
from undermesh.telemetry.growth import EDGES, SERIES, Growth, Rows, positions
from undermesh.telemetry.growth import total as total_of
from undermesh.telemetry.kept import Kept
from undermesh.telemetry.leaving import idle, touching
from undermesh.telemetry.meter import Meter
from undermesh.telemetry.naming import LEFT_OUT, Context, NamedEdges, Naming

RETIRED = b"retired:"
"""Marks slots of maps that an upgrade replaced. No kernel key begins so: its first field is a
number far below 0x69746572."""
MAPS = {"series": "um_series", "edges": "um_edges", "drops": "um_drops"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What a round took out: entries by map."""

    series: int = 0
    edges: int = 0
    drops: int = 0

    def __bool__(self) -> bool:
        return bool(self.series or self.edges or self.drops)


class Folder:
    """Owns the totals of what is gone, in memory and in the ledger."""

    def __init__(
        self,
        *,
        ports: Ports,
        recorder: Recorder,
        naming: Naming,
        drops: DropReader,
        limits: Limits,
    ) -> None:
        self.kept = Kept(ends=limits.gone_ends, rows=limits.gone_rows)
        self.kept_drops: dict[DropKey, Words] = {}
        self._plane = ports.plane
        self._sizes = ports.sizes
        self._ledger = ports.ledger
        self._recorder = recorder
        self._naming = naming
        self._drops = drops
        self._book = ports.book
        self._limits = limits

    def recover(self) -> int:
        """Finishes what an agent before left undone, then reads the totals. Call once, before the
        first sweep. Answers how many entries were left undone."""
        undone = sum(self._settle(pending.table, pending) for pending in self._ledger.pending())
        self._load()
        return undone

    def fold_retired(self) -> int:
        """Counts what maps held that an upgrade replaced. Call once its workloads have names.

        The entries are noted under marked slots: the map in use may hold the same keys again.
        """
        retired = self._plane.retired
        context = self._context()
        folded = 0
        for keys, values in batches(retired.get("um_series")):
            growth = total_of(SERIES, keys, values)
            folded += self._keep_series(growth, context, retired=True)
        for keys, values in batches(retired.get("um_edges")):
            growth = total_of(EDGES, keys, values)
            folded += self._keep_edges(growth, values["last_ns"], context, retired=True)
        if "um_drops" in retired:
            folded += self._keep_drops(*retired["um_drops"], retired=True)
        if retired:
            self._plane.forget_retired()
            for pending in self._ledger.pending():
                self._ledger.commit(pending.fold)
        return folded

    def fold(self, numbers: Sequence[int], *, now_ns: int) -> Folded:
        """Folds all that names one of `numbers`, and what is idle in a map that fills up."""
        recorder = self._recorder
        series = self._rows(recorder.series, "um_series", numbers, now_ns)
        edges = self._rows(recorder.edges, "um_edges", numbers, now_ns)
        if len(series) or len(edges):
            context = self._context()
            for leaving in readings(recorder.series.reading, series):
                self._keep_series(leaving.growth(), context)
            for leaving in readings(recorder.edges.reading, edges):
                self._keep_edges(leaving.growth(), leaving.last_ns, context)
        recorder.series.drop(series)
        recorder.edges.drop(edges)
        drops = self._fold_drops(numbers, now_ns)
        return Folded(series=len(series), edges=len(edges), drops=drops)

    def shrink(self) -> None:
        """Keeps the totals of what is gone within bounds, in memory and in the ledger alike."""
        if not self.kept.overfull:
            return
        merges = self.kept.shrink(alive=_Alive(self._book))
        for edge in merges.edges:
            self._ledger.merge(
                "edges",
                sources=[rowkeys.encode_edge(key) for key in edge.sources],
                into=rowkeys.encode_edge(edge.into),
            )
        for series in merges.series:
            self._ledger.merge(
                "series",
                sources=[rowkeys.encode_series(key) for key in series.sources],
                into=rowkeys.encode_series(series.into),
            )

    def _bins(self) -> int:
        return int(self._plane.dtype("um_series")["bins"].shape[0])

    def _rows(self, meter: Meter, name: str, numbers: Sequence[int], now_ns: int) -> Rows:
        if meter.reading is None:
            return np.zeros(0, np.int64)
        resting = idle(
            meter.reading.last_ns,
            now_ns=now_ns,
            pressure=self._limits.pressure,
            max_entries=self._sizes[name],
        )
        return np.union1d(touching(meter.reading.keys, numbers), resting)

    def _keep_series(self, growth: Growth, context: Context, *, retired: bool = False) -> int:
        slots = self._naming.series(growth, context)
        encoded = [rowkeys.encode_series(key) for key in slots.keys]
        values = vectors(SERIES, growth, self._bins())
        self._move("series", growth.keys, slots.rows, encoded, values, retired=retired)
        self.kept.add_series(slots.named())
        return len(growth)

    def _keep_edges(
        self,
        growth: Growth,
        last_ns: NDArray[np.uint64],
        context: Context,
        *,
        retired: bool = False,
    ) -> int:
        slots = self._naming.edges(growth, context)
        encoded = [rowkeys.encode_edge(key) for key in slots.keys]
        values = edge_vectors(slots.sums, last_ns)
        self._move("edges", growth.keys, slots.rows, encoded, values, retired=retired)
        self.kept.add_edges(slots.named())
        return len(growth)

    def _keep_drops(self, keys: Structured, values: Structured, *, retired: bool = False) -> int:
        names = [self._drops.key(key) for key in keys]
        sums = drop_vectors(values)
        encoded = [rowkeys.encode_drop(name) for name in names]
        self._move("drops", keys, np.arange(len(keys)), encoded, sums, retired=retired)
        for name, one in zip(names, sums, strict=True):
            self._keep_drop(name, one)
        return len(keys)

    def _context(self) -> Context:
        return self._naming.context(self._recorder.edge_totals(), self.kept.protocols)

    def _move(
        self,
        table: str,
        keys: Structured,
        rows: Rows,
        encoded: Sequence[bytes],
        values: Words,
        *,
        retired: bool,
    ) -> None:
        """Out of the kernel and into the ledger. Entries that belong to no row are only deleted.

        What an upgrade replaced is noted here and counted once it is forgotten, all together.
        """
        counted = np.flatnonzero(rows != LEFT_OUT)
        fold = None
        if len(counted):
            mark = RETIRED if retired else b""
            fold = self._ledger.begin(
                table,
                slots=[mark + keys[row].tobytes() for row in counted],
                keys=[encoded[row] for row in rows[counted]],
                values=values[counted],
            )
        if not retired:
            self._plane.delete(MAPS[table], keys)
            if fold is not None:
                self._ledger.commit(fold)

    def _fold_drops(self, numbers: Iterable[int], now_ns: int) -> int:
        keys, values = self._plane.dump("um_drops")
        gone = np.flatnonzero(np.isin(keys["owner"], np.fromiter(numbers, np.uint32)))
        resting = idle(
            values["last_ns"],
            now_ns=now_ns,
            pressure=self._limits.drops_pressure,
            max_entries=self._sizes["um_drops"],
        )
        rows = np.union1d(gone, resting)
        return self._keep_drops(keys[rows], values[rows]) if len(rows) else 0

    def _keep_drop(self, name: DropKey, sums: Words) -> None:
        held = self.kept_drops.get(name)
        self.kept_drops[name] = (
            sums if held is None else np.append(held[:2] + sums[:2], np.maximum(held[2:], sums[2:]))
        )

    def _settle(self, table: str, pending: Pending) -> int:
        """Commits a fold an agent before began: what it had deleted as it wrote it down, what it
        had not as it stands now."""
        if pending.slots[0].startswith(RETIRED):
            # Still there to be read: it is folded anew. Forgotten: this note is all there is.
            again = MAPS[table] in self._plane.retired
            keep = np.full(len(pending.slots), not again)
            self._ledger.commit(pending.fold, keep=keep)
            return len(pending.slots)
        keys, values = self._plane.dump(MAPS[table])
        slots = np.frombuffer(b"".join(pending.slots), keys.dtype)
        place = positions(slots, keys)
        final = pending.values.copy()
        held = np.flatnonzero(place >= 0)
        if len(held):
            now = self._vectors_of(table, keys[place[held]], values[place[held]])
            same = self._ledger.continues(table, pending.values[held], now)
            final[held[same]] = now[same]
            self._plane.delete(MAPS[table], slots[held[same]])
        self._ledger.commit(pending.fold, values=final)
        return len(slots)

    def _vectors_of(self, table: str, keys: Structured, values: Structured) -> Words:
        match table:
            case "series":
                return vectors(SERIES, total_of(SERIES, keys, values), self._bins())
            case "edges":
                return edge_vectors(EDGES.matrix(values), values["last_ns"])
            case _:
                return drop_vectors(values)

    def _load(self) -> None:
        rows = [
            (int(sums[-1]), rowkeys.decode_edge(key), sums[:-1])
            for encoded, values in self._ledger.totals("edges")
            for key, sums in zip(encoded, values, strict=True)
        ]
        # In the order they went: what is gone longest is the first to lose its name.
        for _, edge, sums in sorted(rows, key=lambda row: row[0]):
            self.kept.add_edges(NamedEdges(keys=(edge,), sums=sums[None, :]))
        for encoded, values in self._ledger.totals("series"):
            self.kept.add_series(named_series(encoded, values))
        for encoded, values in self._ledger.totals("drops"):
            for key, sums in zip(encoded, values, strict=True):
                self.kept_drops[rowkeys.decode_drop(key)] = sums


class _Alive:
    """Whether a workload of that name is there. Made anew for every round: the book changes."""

    def __init__(self, book: Book) -> None:
        self._names = {
            (workload.namespace, workload.name)
            for workload in book.all()
            if workload.gone_ns is None
        }

    def __call__(self, end: End) -> bool:
        return end.kind is EndKind.WORKLOAD and (end.namespace, end.name) in self._names
