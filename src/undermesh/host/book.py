# SPDX-License-Identifier: Apache-2.0
"""Which workload each of the kernel's numbers is, kept up to date by what changed.

Pure: it is told of owners, cgroups and container names, and answers with workloads. A number costs
something when it is first seen and when it is renamed, and nothing in between.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from undermesh.host.containers import NO_RUNTIMES, RuntimeNames
from undermesh.host.naming import CgroupName, clean, name_cgroup
from undermesh.model.workload import (
    NO_LABELS,
    IdentityId,
    NodeId,
    Number,
    Workload,
    WorkloadName,
)

PATH_LIMIT = 191
"""Bytes of path the kernel side keeps (um_cgroup.path without its zero): longer ones are cut."""

EXE_LIMIT = 23
"""Bytes of an executable's name the kernel side keeps."""


@dataclass(slots=True)
class _Cgroup:
    """One cgroup, and the numbers of its executables."""

    ident: int
    path: str = ""
    name: CgroupName | None = None
    born_ns: int = 0
    gone_ns: int = 0
    plain: str | None = None
    """The executable that is called by the cgroup's name alone."""
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    numbers: set[int] = field(default_factory=set)


class WorkloadBook:
    """Names of numbers. Those that are gone keep theirs until `forget`."""

    def __init__(self, *, node: NodeId) -> None:
        self._node = node
        self._names = NO_RUNTIMES
        self._cgroups: dict[int, _Cgroup] = {}
        self._workloads: dict[int, Workload] = {}
        self._contained: set[int] = set()
        self._changed: dict[int, None] = {}
        self._wanting: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._workloads)

    def holds(self, number: int) -> bool:
        """Whether a number is known and not forgotten."""
        return number in self._workloads

    def get(self, number: int) -> Workload | None:
        """The workload of a number."""
        return self._workloads.get(number)

    def name(self, number: int) -> WorkloadName | None:
        """What rows of a number are called."""
        workload = self._workloads.get(number)
        return None if workload is None else workload.title

    def all(self) -> tuple[Workload, ...]:
        """Every workload, in the order they were first seen."""
        return tuple(self._workloads.values())

    def gone(self) -> tuple[Workload, ...]:
        """The workloads whose cgroup is gone, the longest gone first."""
        gone = [w for w in self._workloads.values() if w.gone_ns is not None]
        return tuple(sorted(gone, key=lambda w: w.gone_ns or 0))

    def take_changed(self) -> tuple[Workload, ...]:
        """The workloads that are new, renamed or gone since this was last asked."""
        changed = tuple(self._workloads[n] for n in self._changed if n in self._workloads)
        self._changed.clear()
        return changed

    def take_wanting(self) -> tuple[int, ...]:
        """Ids of cgroups in use whose path is unknown or cut, each once: look them up by a scan."""
        wanting = tuple(self._wanting)
        self._wanting.clear()
        return wanting

    def cgroups(self, rows: Iterable[tuple[int, str | bytes, int, int]]) -> None:
        """Takes (id, path, born_ns, gone_ns); 0 for a birth not seen and for what is not gone.

        Call it before `owners` in a round. Rows that say nothing new are ignored, a longer path
        completes one that was cut.
        """
        for ident, path, born_ns, gone_ns in rows:
            cgroup = self._cgroups.get(ident)
            if cgroup is None:
                cgroup = self._cgroups[ident] = _Cgroup(ident)
            elif cgroup.gone_ns == gone_ns and len(cgroup.path) >= len(path):
                continue
            text = os.fsdecode(path)
            cgroup.born_ns = cgroup.born_ns or born_ns
            cgroup.gone_ns = cgroup.gone_ns or gone_ns
            if len(text) > len(cgroup.path):
                cgroup.path = text
                cgroup.name = None
            self._settle(cgroup)

    def owners(self, rows: Iterable[tuple[int, int, bytes, int]]) -> None:
        """Takes (number, cgroup id, executable, first_ns) of every owner; known ones cost nothing.

        An owner whose cgroup is not known yet is called by its executable until it is.
        """
        fresh = [row for row in rows if row[0] not in self._workloads]
        fresh.sort(key=lambda row: row[3])
        touched: dict[int, set[int]] = {}
        for number, ident, raw, first_ns in fresh:
            cgroup = self._cgroups.get(ident)
            if cgroup is None:
                cgroup = self._cgroups[ident] = _Cgroup(ident)
            exe = clean(os.fsdecode(raw.rstrip(b"\0"))) or "unknown"
            cgroup.numbers.add(number)
            self._workloads[number] = Workload(
                node=self._node,
                number=Number(number),
                namespace="default",
                name=exe,
                kind="cgroup",
                exe=exe,
                cgroup=cgroup.path,
                cgroup_id=ident,
                started_ns=first_ns,
            )
            self._changed[number] = None
            cgroup.plain = cgroup.plain or exe
            touched.setdefault(ident, set()).add(number)
        for ident, numbers in touched.items():
            self._settle(self._cgroups[ident], numbers)

    def runtimes(self, names: RuntimeNames) -> None:
        """Takes the names of containers and pods. One that is no longer listed keeps its name."""
        if names is self._names:
            return
        self._names = names
        for ident in self._contained:
            cgroup = self._cgroups[ident]
            named = name_cgroup(cgroup.path, names)
            if named != cgroup.name and _is_known(named, names):
                cgroup.name = named
                self._settle(cgroup)

    def label(self, cgroup_id: int, labels: Mapping[str, str]) -> None:
        """Gives a cgroup the labels that `undermesh run` was given."""
        cgroup = self._cgroups.get(cgroup_id)
        if cgroup is None:
            cgroup = self._cgroups[cgroup_id] = _Cgroup(cgroup_id)
        cgroup.labels = dict(labels)
        self._settle(cgroup)

    def identify(self, number: int, identity: IdentityId) -> None:
        """Notes the identity of a number. Unknown numbers are ignored: they were forgotten."""
        workload = self._workloads.get(number)
        if workload is not None and workload.identity != identity:
            self._workloads[number] = replace(workload, identity=identity)

    def forget(self, numbers: Iterable[int]) -> None:
        """Frees what is kept of numbers whose counters are folded."""
        for number in numbers:
            workload = self._workloads.pop(number, None)
            self._changed.pop(number, None)
            if workload is not None and (cgroup := self._cgroups.get(workload.cgroup_id)):
                cgroup.numbers.discard(number)

    def spent(self, before_ns: int) -> tuple[int, ...]:
        """Ids of cgroups that went before `before_ns` and of which no number is left."""
        return tuple(
            cgroup.ident
            for cgroup in self._cgroups.values()
            if 0 < cgroup.gone_ns < before_ns and not cgroup.numbers
        )

    def forget_cgroups(self, idents: Iterable[int]) -> None:
        """Frees what is kept of cgroups. Those that still have numbers are kept."""
        for ident in idents:
            cgroup = self._cgroups.get(ident)
            if cgroup is not None and not cgroup.numbers:
                del self._cgroups[ident]
                self._contained.discard(ident)
                self._wanting.pop(ident, None)

    def _settle(self, cgroup: _Cgroup, fresh: Collection[int] | None = None) -> None:
        """Brings the workloads of a cgroup in line with what is known of it.

        `fresh` are its new numbers, where nothing else changed.
        """
        if not cgroup.numbers:
            return
        numbers = cgroup.numbers if fresh is None else fresh
        if cgroup.name is None and cgroup.path:
            cgroup.name = name_cgroup(cgroup.path, self._names)
            if cgroup.name.kind in ("container", "pod"):
                self._contained.add(cgroup.ident)
        if not cgroup.path or len(os.fsencode(cgroup.path)) == PATH_LIMIT:
            self._wanting[cgroup.ident] = None
        if cgroup.name is not None and self._choose_plain(cgroup, cgroup.name, numbers):
            numbers = cgroup.numbers
        for number in numbers:
            before = self._workloads[number]
            after = _workload(before, cgroup)
            if after != before:
                self._workloads[number] = after
                self._changed[number] = None

    def _choose_plain(self, cgroup: _Cgroup, name: CgroupName, numbers: Collection[int]) -> bool:
        """The executable the cgroup is named after takes its name, and else the first one.

        A unit's first socket may belong to something that only prepares it (ExecStartPre).
        """
        own = name.name.partition("@")[0][:EXE_LIMIT]
        if cgroup.plain == own or all(self._workloads[n].exe != own for n in numbers):
            return False
        cgroup.plain = own
        return True


def _workload(before: Workload, cgroup: _Cgroup) -> Workload:
    """`before` with what is known of its cgroup now."""
    name = cgroup.name or CgroupName(kind="cgroup", name="")
    if name.explicit or (name.kind in ("unit", "cgroup") and name.name):
        plain = name.explicit or before.exe == cgroup.plain
        title = name.name if plain else clean(f"{name.name}/{before.exe}")
    else:
        title = before.exe
    started_ns = before.started_ns
    if cgroup.born_ns and (name.explicit or before.exe == cgroup.plain):
        started_ns = min(started_ns, cgroup.born_ns)
    return replace(
        before,
        namespace=name.namespace,
        name=title,
        kind=name.kind,
        labels={**name.labels, **cgroup.labels},
        cgroup=cgroup.path,
        started_ns=started_ns,
        gone_ns=cgroup.gone_ns or None,
    )


def _is_known(name: CgroupName, names: RuntimeNames) -> bool:
    """Whether a runtime knows the container or the pod."""
    return name.container in names.containers or name.labels.get("pod-uid") in names.pods
