# SPDX-License-Identifier: Apache-2.0
"""The edges as the use cases want them: names and shapes, nothing else."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undermesh import host, identity, store
from undermesh.app import ports
from undermesh.app.views import Moment
from undermesh.model.workload import IdentityId, Workload
from undermesh.telemetry.drops import KEPT_FIELDS
from undermesh.telemetry.growth import EDGES, SERIES

Words = NDArray[np.int64]

_PIDS = 64


def now() -> Moment:
    """This instant, on both clocks."""
    return Moment(monotonic_ns=time.monotonic_ns(), epoch_ns=time.time_ns())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    fold: int
    table: str
    slots: tuple[bytes, ...]
    keys: tuple[bytes, ...]
    values: Words


class Ledger:
    """The store's ledger, its tables by name."""

    def __init__(self, database: store.Database, *, bins: int) -> None:
        self._ledger = store.Ledger(database)
        edges = [store.Field(column.name, column.length) for column in EDGES.columns]
        series = [store.Field(column.name, column.length) for column in SERIES.columns]
        drops = [
            store.Field(name, rule="max" if name.startswith("last") else "sum")
            for name in KEPT_FIELDS
        ]
        self._tables = {
            "series": self._ledger.table("series", [*series, store.Field("bins", bins)]),
            "edges": self._ledger.table("edges", [*edges, store.Field("last_ns", rule="max")]),
            "drops": self._ledger.table("drops", drops),
        }

    @property
    def since(self) -> float:
        return self._ledger.since

    def begin(
        self, table: str, *, slots: Sequence[bytes], keys: Sequence[bytes], values: Words
    ) -> int:
        return self._ledger.begin(self._tables[table], slots=slots, keys=keys, values=values)

    def commit(
        self, fold: int, *, values: Words | None = None, keep: NDArray[np.bool_] | None = None
    ) -> None:
        self._ledger.commit(store.FoldId(fold), values=values, keep=keep)

    def pending(self) -> Sequence[ports.Pending]:
        return [
            _Pending(
                fold=one.fold,
                table=one.table.name,
                slots=one.slots,
                keys=one.keys,
                values=one.values,
            )
            for one in self._ledger.pending()
        ]

    def continues(self, table: str, recorded: Words, held: Words) -> NDArray[np.bool_]:
        return self._tables[table].continues(recorded, held)

    def totals(self, table: str) -> Iterator[tuple[tuple[bytes, ...], Words]]:
        return self._ledger.totals(self._tables[table])

    def merge(self, table: str, *, sources: Sequence[bytes], into: bytes) -> None:
        self._ledger.merge(self._tables[table], sources=sources, into=into)

    def reset(self) -> None:
        self._ledger.reset()


class Notes:
    """The store's keys, without revisions."""

    def __init__(self, keys: store.KeyStore) -> None:
        self._keys = keys

    def put(self, key: str, value: bytes) -> None:
        self._keys.put(key, value)

    def delete(self, key: str) -> None:
        self._keys.delete(key)

    def range(self, prefix: str) -> Sequence[tuple[str, bytes]]:
        return [(entry.key, entry.value) for entry in self._keys.range(prefix)]


class Identities:
    """Identity numbers by workload."""

    def __init__(self, keys: store.KeyStore) -> None:
        self._identities = identity.Identities(keys)

    def of(self, workload: Workload) -> IdentityId:
        return self._identities.number(identity.labels_of(workload))

    def release(self, identities: Iterable[IdentityId]) -> None:
        self._identities.release(identities)


class Host:
    """Cgroups, container names and processes of this host.

    `root` is where cgroup v2 is mounted; with a `scope`, only cgroups from there down are listed,
    and so only their older sockets are taken in.
    """

    def __init__(
        self,
        *,
        root: Path,
        scope: Path | None,
        roots: host.RuntimeRoots,
        book: host.WorkloadBook,
    ) -> None:
        self._root = root
        self._below = _below(scope, root)
        self._book = book
        self._scan = host.CgroupScan(root)
        self._runtimes = host.Runtimes(roots)
        self._processes = host.ProcessReader()

    def cgroups(self) -> Mapping[int, str]:
        paths = self._scan.read().paths
        if not self._below:
            return paths
        return {
            ident: path
            for ident, path in paths.items()
            if path == self._below or path.startswith(f"{self._below}/")
        }

    def refresh(self) -> None:
        self._book.runtimes(self._runtimes.refresh())

    def pids(self, cgroup: str, exe: str) -> tuple[int, ...]:
        directory = self._root / cgroup.lstrip("/")
        return self._processes.by_exe(directory, exe, limit=_PIDS)


def _below(scope: Path | None, root: Path) -> str:
    """Where the scope lies below the root, "" for all of it. Raises host.BadName."""
    if scope is None or scope == root:
        return ""
    if not scope.is_relative_to(root):
        raise host.BadName("scope", str(scope), f"the directory of a cgroup, below {root}")
    return f"/{scope.relative_to(root)}"


class RunCgroups:
    """The host's run cgroups; what it raises as the use cases know it."""

    def __init__(self, cgroups: host.RunCgroups) -> None:
        self._cgroups = cgroups

    def create(self, *, namespace: str, name: str) -> ports.RunCgroup:
        try:
            return self._cgroups.create(namespace=namespace, name=name)
        except host.BadName as error:
            raise ValueError(str(error)) from error
        except host.HostError as error:
            raise OSError(str(error)) from error

    def place(self, path: Path, pid: int) -> None:
        try:
            self._cgroups.place(path, pid)
        except host.HostError as error:
            raise OSError(str(error)) from error

    def remove(self, path: Path) -> bool:
        return self._cgroups.remove(path)

    def list(self) -> Sequence[ports.RunCgroup]:
        return self._cgroups.list()

    def labels(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        try:
            return host.validate_labels(labels)
        except host.BadName as error:
            raise ValueError(str(error)) from error
