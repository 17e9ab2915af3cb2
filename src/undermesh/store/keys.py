# SPDX-License-Identifier: Apache-2.0
"""Keys and values with revisions, the interface an etcd could stand behind.

Keys are paths: `/desired/…` what users asked for, `/nodes/<id>/…` a node's own, `/identities/<n>`
cluster-wide. Every transaction that changes something takes the next revision of the whole store; a
key's revision is that of its last change.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from undermesh.store import changes
from undermesh.store.changes import Change
from undermesh.store.database import Database

KEY_LIMIT = 1024
VALUE_LIMIT = 1 << 20
_AT_ONCE = 500
"""Keys in one query; SQLite before 3.32 takes 999 values."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One key of a transaction. `value` None removes it. It is to stand at revision `expected`: 0
    where it must not exist, None where that does not matter."""

    key: str
    value: bytes | None
    expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What became of a transaction: all of it is done, or nothing because of the `conflicts`.

    `revision` is the store's afterwards; `changed` counts keys.
    """

    done: bool
    revision: int
    changed: int = 0
    conflicts: Mapping[str, Entry | None]
    """Keys that did not stand where they were expected, as they do."""


class KeyStore:
    """Get, range, compare-and-swap and watch over a Database. Errors are those of Database.

    `kept` is how many lines the log of changes has at least (see `changes`).
    """

    def __init__(self, database: Database, *, kept: int = changes.KEPT) -> None:
        self._database = database
        self._kept = kept
        self._followers: list[Callable[[], None]] = []
        self._following = threading.Lock()

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
        committed = self.commit((Write(key=key, value=value),), durable=False)
        return Entry(key=key, value=value, revision=committed.revision)

    def delete(self, key: str) -> bool:
        """Removes a key; False when there was none."""
        return self.commit((Write(key=key, value=None),), durable=False).changed > 0

    def compare_and_swap(self, key: str, *, expected: int, value: bytes | None) -> Swap:
        """Sets the key where its revision is `expected` (0: it must not exist); None removes it."""
        write = Write(key=key, value=value, expected=expected)
        committed = self.commit((write,), durable=False)
        if not committed.done:
            return Swap(done=False, current=committed.conflicts[key])
        if value is None:
            return Swap(done=True, current=None)
        return Swap(done=True, current=Entry(key=key, value=value, revision=committed.revision))

    def commit(self, writes: Sequence[Write], *, durable: bool = True) -> Committed:
        """All of `writes` at one revision, or none of them. No key may be in it twice.

        `durable` waits until the disk has it, so that it survives the death of the machine too.
        """
        _check(writes)
        with self._database.transaction(durable=durable) as connection:
            stand = _stand(connection, [write.key for write in writes])
            conflicts = {
                write.key: stand.get(write.key)
                for write in writes
                if write.expected not in (None, _revision(stand.get(write.key)))
            }
            effective = [w for w in writes if w.value is not None or w.key in stand]
            if conflicts or not effective:
                revision = _last(connection)
                return Committed(done=not conflicts, revision=revision, conflicts=conflicts)
            revision = _apply(connection, effective)
            lines = ((write.key, write.value is None) for write in effective)
            logged = changes.append(connection, revision, lines, kept=self._kept)
        if logged:
            self._wake()
        return Committed(done=True, revision=revision, changed=len(effective), conflicts={})

    def changes(self, prefix: str, *, after: int) -> tuple[tuple[Change, ...], int]:
        """What changed below `prefix` (of `changes.LOGGED`) after a revision, oldest first, and the
        revision to go on from. Raises Compacted."""
        with self._database.reading() as connection:
            revision = _last(connection)
            found = changes.read(connection, prefix=prefix, after=after, revision=revision)
        return found, revision

    def follow(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls `wake` after every logged change, in the thread that made it; answers how to end
        that."""
        with self._following:
            self._followers.append(wake)

        def leave() -> None:
            with self._following:
                self._followers.remove(wake)

        return leave

    def _wake(self) -> None:
        with self._following:
            followers = tuple(self._followers)
        for wake in followers:
            wake()


def _check(writes: Iterable[Write]) -> None:
    seen: set[str] = set()
    for write in writes:
        key, value = write.key, write.value
        if not key.startswith("/") or len(key) > KEY_LIMIT:
            raise ValueError(f"key {key[:80]!r} does not start with '/' or is too long")
        if value is not None and len(value) > VALUE_LIMIT:
            raise ValueError(f"value of {key!r} has {len(value)} bytes, more than {VALUE_LIMIT}")
        if key in seen:
            raise ValueError(f"key {key!r} is twice in one transaction")
        seen.add(key)


def _stand(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Entry]:
    """Those of the keys that exist."""
    found: dict[str, Entry] = {}
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        marks = ",".join("?" * len(some))
        query = f"SELECT key, value, revision FROM keys WHERE key IN ({marks})"
        found.update((row[0], _entry(row)) for row in connection.execute(query, some))
    return found


def _apply(connection: sqlite3.Connection, writes: Sequence[Write]) -> int:
    revision = _advance(connection)
    puts = [(w.key, w.value, revision) for w in writes if w.value is not None]
    removals = [(w.key,) for w in writes if w.value is None]
    connection.executemany("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", puts)
    connection.executemany("DELETE FROM keys WHERE key = ?", removals)
    return revision


def _advance(connection: sqlite3.Connection) -> int:
    row = connection.execute(
        "INSERT INTO facts VALUES ('revision', 1) "
        "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
    ).fetchone()
    return _whole(row[0])


def _last(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM facts WHERE name = 'revision'").fetchone()
    return _whole(row[0]) if row else 0


def _revision(entry: Entry | None) -> int:
    return entry.revision if entry is not None else 0


def _entry(row: tuple[object, ...]) -> Entry:
    key, value, revision = row
    assert isinstance(key, str)
    assert isinstance(value, bytes)
    return Entry(key=key, value=value, revision=_whole(revision))


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value
