# SPDX-License-Identifier: Apache-2.0
"""Totals of what is gone: counters leave the kernel's maps for good and are counted exactly once.

A fold takes two steps, with the deletion of the kernel's slots between them:

    begin   what is to be folded is written down: slots, names, values
    (the caller deletes the slots from the kernel's maps)
    commit  the values are added to the totals and the note is removed, in one transaction

An agent killed in between finds the note in `pending()`. A slot that the kernel still holds was not
deleted: it is deleted now and what it holds is committed. One that it does not hold was deleted:
what was written down is committed. One that was deleted and made anew (`continues` is false: a
counter stands lower than it did) is left where it is, and what was written down is committed.
After a start with new maps nothing can be held: `settle()`.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NewType

import numpy as np

from undermesh.store.columns import Field, Flags, Layout, Words, pack, stack, unpack
from undermesh.store.database import Database

FoldId = NewType("FoldId", int)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTable:
    """One kind of row, its fields as this version knows them."""

    name: str
    layout: Layout

    @property
    def width(self) -> int:
        """Words of a row."""
        return self.layout.width

    def continues(self, recorded: Words, held: Words) -> Flags:
        """Per row (n, width): whether the slot that is held can be the one that was recorded.

        Counters only rise while a slot lives, so one that stands lower was made anew.
        """
        sums = ~self.layout.maxima
        return np.asarray((held[:, sums] >= recorded[:, sums]).all(axis=1), dtype=np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A fold that was begun and not committed. `values` is int64 (n, width of the table)."""

    fold: FoldId
    table: LedgerTable
    slots: tuple[bytes, ...]
    keys: tuple[bytes, ...]
    values: Words


class Ledger:
    """The totals in a Database. Errors are those of Database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._layouts: dict[int, Layout] = {}
        self._tables: dict[str, LedgerTable] = {}
        with database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO facts VALUES ('since', ?)", (time.time(),))

    @property
    def since(self) -> float:
        """When counting began: UNIX time of the first use since the last `reset`."""
        rows = self._database.rows("SELECT value FROM facts WHERE name = 'since'")
        value = rows[0][0] if rows else 0.0
        return float(value) if isinstance(value, int | float) else 0.0

    def table(self, name: str, fields: Sequence[Field]) -> LedgerTable:
        """Declares a table with the fields this version counts; rows of others are converted."""
        table = LedgerTable(name=name, layout=Layout(tuple(fields)))
        self._tables[name] = table
        return table

    def begin(
        self, table: LedgerTable, *, slots: Sequence[bytes], keys: Sequence[bytes], values: Words
    ) -> FoldId:
        """Writes down what is about to leave the kernel: n slots, the rows they belong to by name
        (several may share one), and values (n, width)."""
        if values.shape != (len(slots), table.width) or len(keys) != len(slots):
            raise ValueError(
                f"folding {len(slots)} slots into {table.name}: {len(keys)} keys and values of "
                f"shape {values.shape}, not ({len(slots)}, {table.width})"
            )
        if not all(keys):
            raise ValueError(f"folding into {table.name}: a key is empty")
        with self._database.transaction() as connection:
            layout = _number(connection, table.layout)
            fold = connection.execute(
                "INSERT INTO facts VALUES ('fold', 1) "
                "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
            ).fetchone()[0]
            connection.executemany(
                "INSERT INTO folds VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (fold, place, table.name, bytes(slot), bytes(key), layout, pack(row))
                    for place, (slot, key, row) in enumerate(zip(slots, keys, values, strict=True))
                ),
            )
        return FoldId(fold)

    def commit(
        self, fold: FoldId, *, values: Words | None = None, keep: Flags | None = None
    ) -> None:
        """Adds a fold to the totals and removes its note; a fold that is not pending is no-op.

        `values` (n, width) are the last ones read, where they differ from those written down.
        `keep` false drops a row from the fold without counting it: its slot lives on.
        """
        pending = self._read_fold(fold)
        if pending is None:
            return
        counted = pending.values if values is None else values
        if counted.shape != pending.values.shape:
            raise ValueError(f"fold {fold} has values of shape {pending.values.shape}")
        sums: dict[bytes, Words] = {}
        for place, key in enumerate(pending.keys):
            if keep is None or keep[place]:
                row = counted[place]
                sums[key] = pending.table.layout.add(sums[key], row) if key in sums else row
        with self._database.transaction() as connection:
            for key, row in sums.items():
                self._put(connection, pending.table, key, pending.table.layout, row)
            connection.execute("DELETE FROM folds WHERE fold = ?", (fold,))

    def pending(self) -> tuple[Pending, ...]:
        """The folds that were begun and not committed, the oldest first."""
        rows = self._database.rows("SELECT DISTINCT fold FROM folds ORDER BY fold")
        found = (self._read_fold(FoldId(_whole(fold))) for (fold,) in rows)
        return tuple(pending for pending in found if pending is not None)

    def settle(self) -> int:
        """Commits every pending fold as it was written down; how many rows that were."""
        rows = 0
        for pending in self.pending():
            self.commit(pending.fold)
            rows += len(pending.keys)
        return rows

    def get(self, table: LedgerTable, key: bytes) -> Words | None:
        """The total of one row, int64 (width,)."""
        query = "SELECT layout, value FROM totals WHERE tbl = ? AND key = ?"
        rows = self._database.rows(query, (table.name, key))
        return self._decode(rows[0][0], rows[0][1], table.layout) if rows else None

    def totals(
        self, table: LedgerTable, *, batch: int = 512
    ) -> Iterator[tuple[tuple[bytes, ...], Words]]:
        """The totals in batches of keys and values (n, width), sorted by key.

        What changes while it is read may be met or not; a row is never met twice.
        """
        query = (
            "SELECT key, layout, value FROM totals WHERE tbl = ? AND key > ? ORDER BY key LIMIT ?"
        )
        last = b""
        while rows := self._database.rows(query, (table.name, last, batch)):
            keys = tuple(_bytes(key) for key, _, _ in rows)
            decoded = [self._decode(layout, value, table.layout) for _, layout, value in rows]
            yield keys, stack(decoded, table.width)
            last = keys[-1]

    def count(self, table: LedgerTable) -> int:
        """How many rows have totals."""
        query = "SELECT count(*) FROM totals WHERE tbl = ?"
        return _whole(self._database.rows(query, (table.name,))[0][0])

    def merge(self, table: LedgerTable, *, sources: Sequence[bytes], into: bytes) -> None:
        """Adds the rows `sources` to the row `into` and removes them, which bounds how many named
        rows are kept. Sources that do not exist count nothing."""
        with self._database.transaction() as connection:
            for key in set(sources) - {into}:
                found = self._stored(connection, table, key)
                if found is not None:
                    self._put(connection, table, into, *found)
                    where = (table.name, key)
                    connection.execute("DELETE FROM totals WHERE tbl = ? AND key = ?", where)

    def reset(self) -> None:
        """Forgets all totals and pending folds, and starts counting anew: `down`."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM totals")
            connection.execute("DELETE FROM folds")
            connection.execute("INSERT OR REPLACE INTO facts VALUES ('since', ?)", (time.time(),))

    def _read_fold(self, fold: FoldId) -> Pending | None:
        query = "SELECT tbl, slot, key, layout, value FROM folds WHERE fold = ? ORDER BY place"
        rows = self._database.rows(query, (fold,))
        if not rows:
            return None
        name = str(rows[0][0])
        # A table this version no longer declares keeps the layout it was written with.
        table = self._tables.get(name) or LedgerTable(name=name, layout=self._layout(rows[0][3]))
        values = [self._decode(layout, value, table.layout) for *_, layout, value in rows]
        return Pending(
            fold=fold,
            table=table,
            slots=tuple(_bytes(row[1]) for row in rows),
            keys=tuple(_bytes(row[2]) for row in rows),
            values=stack(values, table.width),
        )

    def _put(
        self,
        connection: sqlite3.Connection,
        table: LedgerTable,
        key: bytes,
        layout: Layout,
        row: Words,
    ) -> None:
        """Adds a row of any layout to a total, keeping fields that only one of them has."""
        stored = self._stored(connection, table, key)
        if stored is not None:
            joined = layout.joined(stored[0])
            row = joined.add(layout.convert(row, joined), stored[0].convert(stored[1], joined))
            layout = joined
        connection.execute(
            "INSERT OR REPLACE INTO totals VALUES (?, ?, ?, ?)",
            (table.name, key, _number(connection, layout), pack(row)),
        )

    def _stored(
        self, connection: sqlite3.Connection, table: LedgerTable, key: bytes
    ) -> tuple[Layout, Words] | None:
        query = "SELECT layout, value FROM totals WHERE tbl = ? AND key = ?"
        found = connection.execute(query, (table.name, key)).fetchone()
        if found is None:
            return None
        layout = self._layout(found[0])
        return layout, unpack(_bytes(found[1]), layout)

    def _layout(self, number: object) -> Layout:
        known = self._layouts.get(_whole(number))
        if known is None:
            rows = self._database.rows("SELECT fields FROM layouts WHERE layout = ?", (number,))
            known = self._layouts[_whole(number)] = Layout.from_json(str(rows[0][0]))
        return known

    def _decode(self, number: object, value: object, to: Layout) -> Words:
        layout = self._layout(number)
        return layout.convert(unpack(_bytes(value), layout), to)


def _number(connection: sqlite3.Connection, layout: Layout) -> int:
    """The number a layout is stored under, given now if it has none."""
    text = layout.to_json()
    found = connection.execute("SELECT layout FROM layouts WHERE fields = ?", (text,)).fetchone()
    if found is None:
        insert = "INSERT INTO layouts (fields) VALUES (?) RETURNING layout"
        found = connection.execute(insert, (text,)).fetchone()
    return _whole(found[0])


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
