# SPDX-License-Identifier: Apache-2.0
"""A store of desired state in memory: another backend than SQLite, held to the same promises."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from undermesh.app.desired_ports import Compacted, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEntry:
    """One key as it stands."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryChange:
    """One key that changed."""

    key: str
    value: bytes | None
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCommitted:
    """What became of a transaction."""

    done: bool
    revision: int
    conflicts: dict[str, MemoryEntry | None]


@dataclass(slots=True)
class MemoryStore:
    """A DesiredStore. `compact` forgets changes; `before_commit` is called once, by the next
    commit, before it looks: somebody else's write comes in between."""

    revision: int = 0
    entries: dict[str, MemoryEntry] = field(default_factory=dict)
    log: list[MemoryChange] = field(default_factory=list)
    oldest: int = 0
    commits: int = 0
    followers: list[Callable[[], None]] = field(default_factory=list)
    before_commit: list[Callable[[], None]] = field(default_factory=list)

    def get(self, key: str) -> MemoryEntry | None:
        return self.entries.get(key)

    def range(self, prefix: str) -> tuple[Sequence[MemoryEntry], int]:
        found = [one for key, one in sorted(self.entries.items()) if key.startswith(prefix)]
        return found, self.revision

    def commit(self, writes: Sequence[Write]) -> MemoryCommitted:
        while self.before_commit:
            self.before_commit.pop()()
        conflicts = {
            one.key: self.entries.get(one.key)
            for one in writes
            if one.expected is not None and one.expected != self._revision(one.key)
        }
        if conflicts:
            return MemoryCommitted(done=False, revision=self.revision, conflicts=conflicts)
        self.revision += 1
        self.commits += 1
        for one in writes:
            self.log.append(MemoryChange(key=one.key, value=one.value, revision=self.revision))
            if one.value is None:
                self.entries.pop(one.key, None)
            else:
                entry = MemoryEntry(key=one.key, value=one.value, revision=self.revision)
                self.entries[one.key] = entry
        for wake in tuple(self.followers):
            wake()
        return MemoryCommitted(done=True, revision=self.revision, conflicts={})

    def changes(self, prefix: str, *, after: int) -> tuple[Sequence[MemoryChange], int]:
        if not self.oldest <= after <= self.revision:
            raise Compacted(after=after, oldest=self.oldest, revision=self.revision)
        found = itertools.filterfalse(lambda one: one.revision <= after, self.log)
        return [one for one in found if one.key.startswith(prefix)], self.revision

    def follow(self, wake: Callable[[], None]) -> Callable[[], None]:
        self.followers.append(wake)
        return lambda: self.followers.remove(wake)

    def compact(self) -> None:
        """Forgets every change up to now."""
        self.log.clear()
        self.oldest = self.revision

    def _revision(self, key: str) -> int:
        entry = self.entries.get(key)
        return entry.revision if entry is not None else 0
