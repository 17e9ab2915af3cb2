# SPDX-License-Identifier: Apache-2.0
"""What desired state needs from a store: get, range, a transaction of many keys, watch with resume.

SQLite stands behind it here (`store`). What is asked for is what an etcd gives as well: one
revision for a whole transaction, compare by a key's revision, changes after a revision or the word
that the store no longer has them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

VALUE_LIMIT = 1 << 20
"""Bytes of one value that every store takes; etcd refuses requests above 1.5 MiB."""


class Compacted(Exception):
    """Changes after that revision are no longer known: read all again and go on from there.

    `oldest` is the revision that can still be gone on from, `revision` the store's.
    """

    def __init__(self, *, after: int, oldest: int, revision: int) -> None:
        super().__init__(
            f"changes after revision {after} are not known: the log has those after {oldest}, up "
            f"to {revision}"
        )
        self.after = after
        self.oldest = oldest
        self.revision = revision


class Entry(Protocol):
    """One key as it stands."""

    @property
    def key(self) -> str: ...
    @property
    def value(self) -> bytes: ...
    @property
    def revision(self) -> int: ...


class Change(Protocol):
    """One key that changed. `value` is None where it was removed."""

    @property
    def key(self) -> str: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def revision(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One key of a transaction. `value` None removes it. It is to stand at revision `expected`: 0
    where it must not exist, None where that does not matter."""

    key: str
    value: bytes | None
    expected: int | None = None


class Committed(Protocol):
    """All of a transaction is done, or nothing, because `conflicts` did not stand as expected."""

    @property
    def done(self) -> bool: ...
    @property
    def revision(self) -> int: ...
    @property
    def conflicts(self) -> Mapping[str, Entry | None]: ...


class DesiredStore(Protocol):
    """Keys below /desired, safe for use by several threads."""

    def get(self, key: str) -> Entry | None: ...

    def range(self, prefix: str) -> tuple[Sequence[Entry], int]:
        """The keys below `prefix`, sorted, and a revision none of them is older than: changes
        after it may be in them already."""
        ...

    def commit(self, writes: Sequence[Write]) -> Committed:
        """All of it at one revision, kept when this returns; or none of it."""
        ...

    def changes(self, prefix: str, *, after: int) -> tuple[Sequence[Change], int]:
        """The last change of every key that changed after `after`, oldest first, and the revision
        to go on from. What a later change overtook may be left out. Raises Compacted."""
        ...

    def follow(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls `wake`, in any thread, after every change; answers how to end that."""
        ...
