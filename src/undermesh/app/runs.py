# SPDX-License-Identifier: Apache-2.0
"""Workloads of `undermesh run`: a cgroup of their own, labels that outlive the agent."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from undermesh.app.limits import SECOND_NS
from undermesh.app.ports import Book, Notes, RunCgroup, RunCgroups
from undermesh.model.workload import NodeId

_YOUNG_NS = 60 * SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A registered run. `id` is the last component of its cgroup's path, with its namespace."""

    id: str
    namespace: str
    name: str
    cgroup: Path


class NoSuchRun(LookupError):
    """No run has that id, or none any more."""


class Runs:
    """Registers and ends runs, and clears up after those whose keeper was killed."""

    def __init__(self, *, cgroups: RunCgroups, notes: Notes, book: Book, node: NodeId) -> None:
        self._cgroups = cgroups
        self._notes = notes
        self._book = book
        self._prefix = f"/nodes/{node}/runs/"
        self._young: dict[int, int] = {}

    def restore(self) -> None:
        """Labels of the runs that live on from an agent before; of those that do not, nothing."""
        there = {run.cgroup_id for run in self._cgroups.list()}
        for key, value in self._notes.range(self._prefix):
            ident = int(key.removeprefix(self._prefix))
            if ident in there:
                self._book.label(ident, msgspec.json.decode(value, type=dict[str, str]))
            else:
                self._notes.delete(key)

    def register(
        self,
        *,
        namespace: str,
        name: str,
        labels: Mapping[str, str],
        pid: int | None,
        now_ns: int,
    ) -> Run:
        """Makes the cgroup. Raises ValueError for a name or label that will not do, OSError where
        the host refuses; both say what was tried."""
        wanted = self._cgroups.labels(labels)
        made = self._cgroups.create(namespace=namespace, name=name)
        if pid is not None:
            self._place(made, pid)
        self._young[made.cgroup_id] = now_ns
        if wanted:
            self._notes.put(self._key(made.cgroup_id), msgspec.json.encode(dict(wanted)))
            self._book.label(made.cgroup_id, wanted)
        return Run(id=_id(made), namespace=made.namespace, name=made.name, cgroup=made.path)

    def end(self, run_id: str) -> bool:
        """Removes a run's cgroup; False while processes are in it (`tidy` removes it later).

        Raises NoSuchRun.
        """
        for run in self._cgroups.list():
            if _id(run) == run_id:
                return self._remove(run)
        raise NoSuchRun(run_id)

    def tidy(self, *, now_ns: int) -> None:
        """Removes the runs that are over. One just registered has no process yet: it is left."""
        for run in self._cgroups.list():
            if now_ns - self._young.get(run.cgroup_id, 0) >= _YOUNG_NS:
                self._remove(run)

    def _place(self, made: RunCgroup, pid: int) -> None:
        """Moves the process; a cgroup it cannot be moved to is not left behind."""
        try:
            self._cgroups.place(made.path, pid)
        except OSError:
            self._cgroups.remove(made.path)
            raise

    def _remove(self, run: RunCgroup) -> bool:
        if not self._cgroups.remove(run.path):
            return False
        self._young.pop(run.cgroup_id, None)
        self._notes.delete(self._key(run.cgroup_id))
        return True

    def _key(self, cgroup_id: int) -> str:
        return f"{self._prefix}{cgroup_id}"


def _id(run: RunCgroup) -> str:
    return f"{run.namespace}.{run.path.name}"
