# SPDX-License-Identifier: Apache-2.0
"""A host, a store and identities of dictionaries."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undermesh.model.workload import IdentityId, Workload

Words = NDArray[np.int64]


class FakeHost:
    """Cgroups by id."""

    def __init__(self, paths: Mapping[int, str] | None = None) -> None:
        self.paths: dict[int, str] = dict(paths or {})
        self.refreshed = 0

    def cgroups(self) -> Mapping[int, str]:
        return dict(self.paths)

    def refresh(self) -> None:
        self.refreshed += 1

    def pids(self, cgroup: str, exe: str) -> tuple[int, ...]:
        return (42,)


class FakeIdentities:
    """Numbers label sets in the order they are met."""

    def __init__(self) -> None:
        self.numbers: dict[str, IdentityId] = {}
        self.released: list[IdentityId] = []

    def of(self, workload: Workload) -> IdentityId:
        label = f"{workload.namespace}/{workload.name}"
        return self.numbers.setdefault(label, IdentityId(256 + len(self.numbers)))

    def release(self, identities: Iterable[IdentityId]) -> None:
        self.released.extend(identities)


class FakeNotes:
    """Keys and values."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def put(self, key: str, value: bytes) -> None:
        self.held[key] = value

    def delete(self, key: str) -> None:
        self.held.pop(key, None)

    def range(self, prefix: str) -> Sequence[tuple[str, bytes]]:
        return sorted((key, value) for key, value in self.held.items() if key.startswith(prefix))


@dataclass(frozen=True, slots=True, kw_only=True)
class FakePending:
    fold: int
    table: str
    slots: tuple[bytes, ...]
    keys: tuple[bytes, ...]
    values: Words


class Crash(BaseException):
    """The agent was killed here."""


class FakeLedger:
    """Totals in dictionaries that outlive the objects around them, as a file would.

    `crash_at` names a step ("begin", "commit"): the agent is killed right before it takes effect.
    """

    def __init__(self) -> None:
        self.since = 1_700_000_000.0
        self.rows: dict[str, dict[bytes, Words]] = {"series": {}, "edges": {}, "drops": {}}
        self.folds: dict[int, FakePending] = {}
        self.crash_at = ""
        self._next = 1

    def begin(
        self, table: str, *, slots: Sequence[bytes], keys: Sequence[bytes], values: Words
    ) -> int:
        self._step("begin")
        fold, self._next = self._next, self._next + 1
        self.folds[fold] = FakePending(
            fold=fold, table=table, slots=tuple(slots), keys=tuple(keys), values=values.copy()
        )
        return fold

    def commit(
        self, fold: int, *, values: Words | None = None, keep: NDArray[np.bool_] | None = None
    ) -> None:
        self._step("commit")
        pending = self.folds.pop(fold)
        counted = pending.values if values is None else values
        for place, key in enumerate(pending.keys):
            if keep is None or keep[place]:
                self._add(pending.table, key, counted[place])

    def pending(self) -> Sequence[FakePending]:
        return list(self.folds.values())

    def continues(self, table: str, recorded: Words, held: Words) -> NDArray[np.bool_]:
        return np.asarray((held >= recorded).all(axis=1))

    def totals(self, table: str) -> Iterator[tuple[tuple[bytes, ...], Words]]:
        for key, row in self.rows[table].items():
            yield (key,), row[None, :]

    def merge(self, table: str, *, sources: Sequence[bytes], into: bytes) -> None:
        for key in set(sources) - {into}:
            row = self.rows[table].pop(key, None)
            if row is not None:
                self._add(table, into, row)

    def reset(self) -> None:
        for rows in self.rows.values():
            rows.clear()
        self.folds.clear()

    def _add(self, table: str, key: bytes, row: Words) -> None:
        rows = self.rows[table]
        if key not in rows:
            rows[key] = row.copy()
            return
        held = rows[key]
        rows[key] = held + row
        if table != "series":  # their last column is a time
            rows[key][-1] = max(held[-1], row[-1])

    def _step(self, name: str) -> None:
        if self.crash_at == name:
            raise Crash(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeRun:
    path: Path
    cgroup_id: int
    namespace: str
    name: str


class FakeRunCgroups:
    """Run cgroups that exist in memory; `busy` ones have processes."""

    def __init__(self) -> None:
        self.runs: dict[Path, FakeRun] = {}
        self.placed: list[tuple[Path, int]] = []
        self.busy: set[Path] = set()

    def create(self, *, namespace: str, name: str) -> FakeRun:
        if name != name.lower():
            raise ValueError(f"name {name!r} cannot be used")
        ident = 9000 + len(self.runs)
        path = Path(f"/fake/{namespace}/{name}.{ident:08x}")
        self.runs[path] = FakeRun(path=path, cgroup_id=ident, namespace=namespace, name=name)
        return self.runs[path]

    def place(self, path: Path, pid: int) -> None:
        self.placed.append((path, pid))

    def remove(self, path: Path) -> bool:
        if path in self.busy:
            return False
        self.runs.pop(path, None)
        return True

    def list(self) -> Sequence[FakeRun]:
        return tuple(self.runs.values())

    def labels(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        return dict(labels)
