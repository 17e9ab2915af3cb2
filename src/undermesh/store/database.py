# SPDX-License-Identifier: Apache-2.0
"""The SQLite file behind the store: how it is opened, and what becomes of a broken one.

Write-ahead log with synchronous=NORMAL: a commit survives the death of the process at once, and
that of the machine except for the last moments. What is in the kernel's maps does not survive the
latter at all, so for counters a stronger promise would keep nothing more. What users asked for is
committed with synchronous=FULL (`durable`): once said to be stored, it is.

Tables are only ever added to a schema, so that a version before goes on with the file.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from undermesh.store import changes
from undermesh.store.errors import NewerSchema, StoreUnusable

log = logging.getLogger(__name__)

FILE_NAME = "state.db"
SCHEMA = 1
_BUSY_MS = 2000
_TABLES = """
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS layouts (
    layout INTEGER PRIMARY KEY, fields TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS totals (
    tbl TEXT NOT NULL, key BLOB NOT NULL, layout INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (tbl, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folds (
    fold INTEGER NOT NULL, place INTEGER NOT NULL, tbl TEXT NOT NULL, slot BLOB NOT NULL,
    key BLOB NOT NULL, layout INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (fold, place)) WITHOUT ROWID;
"""


class Database:
    """An open state file. One lock: calls are short, from whichever thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path, moved: Path | None) -> None:
        self._connection = connection
        self._lock = threading.RLock()
        self.path = path
        self.moved_aside = moved
        """Where a broken file was moved when this one was opened in its place."""

    @classmethod
    def open(cls, directory: Path, *, name: str = FILE_NAME) -> Self:
        """Opens or makes <directory>/<name>: the directory of mode 0700, the file of 0600.

        A file that is no database, or a damaged one, is moved to <name>.corrupt-<time> and a new
        one is made. Raises StoreUnusable, NewerSchema.
        """
        path = directory / name
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            path.chmod(0o600)
        except OSError as error:
            raise StoreUnusable("making", path, error) from error
        try:
            return cls(_connect(path), path, None)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise StoreUnusable("opening", path, error) from error
            moved = _move_aside(path)
            log.error(
                "state file %s is damaged (%s): moved to %s, starting with an empty one; totals "
                "of workloads that were gone start again from zero, and manifests have to be "
                "applied again",
                path,
                error,
                moved,
            )
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            return cls(_connect(path), path, moved)
        except sqlite3.DatabaseError as error:
            raise StoreUnusable("making", path, error) from error

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """All that is written within is kept whole or not at all. Raises StoreUnusable.

        `durable`: when it is left the disk has it.
        """
        with self._lock, self._synchronous("FULL" if durable else ""):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    if self._connection.in_transaction:  # a full disk has rolled back already
                        self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreUnusable("writing", self.path, error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Nothing is written by others meanwhile. Raises StoreUnusable."""
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise StoreUnusable("reading", self.path, error) from error

    @contextmanager
    def _synchronous(self, level: str) -> Iterator[None]:
        if not level:
            yield
            return
        try:
            self._connection.execute(f"PRAGMA synchronous={level}")
            yield
        finally:
            self._connection.execute("PRAGMA synchronous=NORMAL")

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """All rows of a query that only reads. Raises StoreUnusable."""
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise StoreUnusable("reading", self.path, error) from error

    def close(self) -> None:
        """Closes the file. A second close does nothing."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000
    )
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA cache_size=-2048")
        connection.execute("PRAGMA wal_autocheckpoint=256")
        connection.execute("PRAGMA journal_size_limit=4194304")
        answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if answer != "ok":
            raise sqlite3.DatabaseError(f"malformed: {answer}")
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found > SCHEMA:
            raise NewerSchema(path, found, SCHEMA)
        connection.executescript(
            f"BEGIN;{_TABLES}{changes.TABLES}PRAGMA user_version={SCHEMA};COMMIT;"
        )
    except BaseException:
        connection.close()
        raise
    return connection


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is at fault, and not a lock, a full disk or its mode."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return "malformed" in str(error)


def _move_aside(path: Path) -> Path:
    """Renames a damaged file and its log and index, which go with it."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    moved = path.with_name(f"{path.name}.corrupt-{stamp}")
    for count in range(1, 1000):
        if not moved.exists():
            break
        moved = path.with_name(f"{path.name}.corrupt-{stamp}-{count}")
    try:
        path.rename(moved)
        for suffix in ("-wal", "-shm"):
            side = path.with_name(path.name + suffix)
            if side.exists():
                side.rename(moved.with_name(moved.name + suffix))
    except OSError as error:
        raise StoreUnusable("moving aside", path, error) from error
    return moved
