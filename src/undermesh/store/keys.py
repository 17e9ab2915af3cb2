# SPDX-License-Identifier: Apache-2.0
"""Keys and values with revisions, the interface an etcd could stand behind.

Keys are paths: `/nodes/<id>/…` a node's own, `/identities/<n>` cluster-wide. Every change takes the
next revision of the whole store; a key's revision is that of its last change.
"""

import sqlite3
from dataclasses import dataclass

from undermesh.store.database import Database

KEY_LIMIT = 1024
VALUE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key as it stands."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """What a compare-and-swap found: whether it was done, and the key as it stands now."""

    done: bool
    current: Entry | None


class KeyStore:
    """Get, range and compare-and-swap over a Database. Errors are those of Database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def revision(self) -> int:
        """Of the last change; 0 when there was none."""
        rows = self._database.rows("SELECT value FROM facts WHERE name = 'revision'")
        return _whole(rows[0][0]) if rows else 0

    def get(self, key: str) -> Entry | None:
        """The key, or None."""
        query = "SELECT key, value, revision FROM keys WHERE key = ?"
        rows = self._database.rows(query, (key,))
        return _entry(rows[0]) if rows else None

    def range(self, prefix: str, *, limit: int = -1) -> tuple[Entry, ...]:
        """The keys that start with `prefix`, sorted, at most `limit` of them."""
        query = (
            "SELECT key, value, revision FROM keys WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        )
        end = prefix + chr(0x10FFFF)
        return tuple(_entry(row) for row in self._database.rows(query, (prefix, end, limit)))

    def put(self, key: str, value: bytes) -> Entry:
        """Sets a key, whatever it was."""
        with self._database.transaction() as connection:
            return _write(connection, key, value)

    def delete(self, key: str) -> bool:
        """Removes a key; False when there was none."""
        with self._database.transaction() as connection:
            if connection.execute("DELETE FROM keys WHERE key = ?", (key,)).rowcount == 0:
                return False
            _advance(connection)
            return True

    def compare_and_swap(self, key: str, *, expected: int, value: bytes | None) -> Swap:
        """Sets the key where its revision is `expected` (0: it must not exist); None removes it."""
        with self._database.transaction() as connection:
            query = "SELECT key, value, revision FROM keys WHERE key = ?"
            row = connection.execute(query, (key,)).fetchone()
            current = _entry(row) if row else None
            if (current.revision if current else 0) != expected:
                return Swap(done=False, current=current)
            if value is not None:
                return Swap(done=True, current=_write(connection, key, value))
            if current is not None:
                connection.execute("DELETE FROM keys WHERE key = ?", (key,))
                _advance(connection)
            return Swap(done=True, current=None)


def _advance(connection: sqlite3.Connection) -> int:
    row = connection.execute(
        "INSERT INTO facts VALUES ('revision', 1) "
        "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
    ).fetchone()
    return _whole(row[0])


def _write(connection: sqlite3.Connection, key: str, value: bytes) -> Entry:
    if not key.startswith("/") or len(key) > KEY_LIMIT:
        raise ValueError(f"key {key[:80]!r} does not start with '/' or is too long")
    if len(value) > VALUE_LIMIT:
        raise ValueError(f"value of {key!r} has {len(value)} bytes, more than {VALUE_LIMIT}")
    revision = _advance(connection)
    connection.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", (key, value, revision))
    return Entry(key=key, value=value, revision=revision)


def _entry(row: tuple[object, ...]) -> Entry:
    key, value, revision = row
    assert isinstance(key, str)
    assert isinstance(value, bytes)
    return Entry(key=key, value=value, revision=_whole(revision))


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value
