# SPDX-License-Identifier: Apache-2.0
"""The log of what changed, for those who follow: keys with revisions, oldest first, bounded.

A line is appended in the transaction that makes the change, and says which key, not what it held:
whoever reads the log gets the value as it stands now, and nothing of a change that a later one
overtook. What is cut off is cut by whole revisions, and the last revision is never cut.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from undermesh.store.errors import Compacted

LOGGED = "/desired/"
"""Keys below it are logged. Others are a node's own notes, which change too often to be kept."""

KEPT = 65_536
"""Lines that are kept at least; a quarter more before it is cut."""

TABLES = """
CREATE TABLE IF NOT EXISTS changes (
    place INTEGER PRIMARY KEY, revision INTEGER NOT NULL, key TEXT NOT NULL,
    removed INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS changes_by_revision ON changes (revision);
INSERT OR IGNORE INTO facts
    SELECT 'compacted', coalesce((SELECT value FROM facts WHERE name = 'revision'), 0);
"""
"""A file that had no log yet begins one at the revision it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The last change of one key. `value` is None where the key was removed."""

    key: str
    value: bytes | None
    revision: int


def append(
    connection: sqlite3.Connection,
    revision: int,
    keys: Iterable[tuple[str, bool]],
    *,
    kept: int = KEPT,
) -> bool:
    """Writes down (key, removed) of one revision; whether any of them is one that is logged."""
    lines = [(revision, key, removed) for key, removed in keys if key.startswith(LOGGED)]
    if not lines:
        return False
    statement = "INSERT INTO changes (revision, key, removed) VALUES (?, ?, ?)"
    connection.executemany(statement, lines)
    _cut(connection, kept)
    return True


def read(
    connection: sqlite3.Connection, *, prefix: str, after: int, revision: int
) -> tuple[Change, ...]:
    """The last change after `after` of every key below `prefix`, oldest first.

    `revision` is the store's. Raises Compacted where the log begins later than `after`, or where
    `after` is yet to come: then the store is not the one that was followed.
    """
    (compacted,) = connection.execute("SELECT value FROM facts WHERE name = 'compacted'").fetchone()
    if not compacted <= after <= revision:
        raise Compacted(after=after, oldest=compacted, revision=revision)
    query = (
        "SELECT c.key, c.removed, c.revision, k.value, k.revision FROM changes c "
        "LEFT JOIN keys k ON k.key = c.key "
        "WHERE c.revision > ? AND c.key >= ? AND c.key < ? ORDER BY c.place"
    )
    rows = connection.execute(query, (after, prefix, prefix + chr(0x10FFFF)))
    return tuple(
        Change(key=key, value=None if removed else value, revision=made)
        for key, removed, made, value, stands in rows
        if (stands is None if removed else stands == made)
    )


def _cut(connection: sqlite3.Connection, kept: int) -> None:
    first, last = connection.execute("SELECT min(place), max(place) FROM changes").fetchone()
    if last - first < kept + kept // 4:
        return
    query = "SELECT revision FROM changes WHERE place = ?"
    (oldest,) = connection.execute(query, (last - kept + 1,)).fetchone()
    query = "SELECT max(revision) FROM changes WHERE revision < ?"
    (gone,) = connection.execute(query, (oldest,)).fetchone()
    if gone is not None:
        connection.execute("DELETE FROM changes WHERE revision <= ?", (gone,))
        connection.execute("UPDATE facts SET value = ? WHERE name = 'compacted'", (gone,))
