# SPDX-License-Identifier: Apache-2.0
"""GET and POST /v1/workloads, DELETE /v1/workloads/{id}."""

from msgspec import Struct, field

from undermesh.model.workload import Workload
from undermesh.wire import SCHEMA
from undermesh.wire.times import Clock


class WorkloadRow(Struct, kw_only=True):
    """One executable in one cgroup. `pids` are those now in the cgroup, 64 at most."""

    node: str = ""
    namespace: str
    name: str
    kind: str
    identity: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    exe: str = ""
    cgroup: str = ""
    pids: list[int] = field(default_factory=list)
    started: str = ""
    gone: str | None = None


class Workloads(Struct, kw_only=True):
    """Those that are there first, then those that are gone, latest first."""

    schema: int = SCHEMA
    workloads: list[WorkloadRow]


class Register(Struct, kw_only=True, forbid_unknown_fields=True):
    """A command about to be run as a workload. `pid`, when given, is placed in the new cgroup."""

    name: str
    namespace: str = "default"
    labels: dict[str, str] = field(default_factory=dict)
    exe: str | None = None
    pid: int | None = None


class Registered(Struct, kw_only=True):
    """Where the command is to put itself: the absolute path of its cgroup."""

    schema: int = SCHEMA
    id: str
    namespace: str
    name: str
    cgroup: str


def row(workload: Workload, clock: Clock) -> WorkloadRow:
    """A workload as it goes out."""
    return WorkloadRow(
        node=workload.node,
        namespace=workload.namespace,
        name=workload.name,
        kind=workload.kind,
        identity=int(workload.identity),
        labels=dict(sorted(workload.labels.items())),
        exe=workload.exe,
        cgroup=workload.cgroup,
        pids=list(workload.pids),
        started=clock.iso(workload.started_ns),
        gone=None if workload.gone_ns is None else clock.iso(workload.gone_ns),
    )
