# SPDX-License-Identifier: Apache-2.0
"""A service's p99 on the idle link, with bulk flows filling it, and with a Priority in force."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import processes, spread
from benchmarks.pace import Pace, say
from benchmarks.priority import slow_link
from benchmarks.priority.slow_link import SlowLink
from benchmarks.processes import BenchError
from benchmarks.rows import Bar, Row
from undermesh.host.cgroups import find_cgroup2
from undermesh.host.shaping import Shaper
from undermesh.kernel import bpffs, plane, priorities
from undermesh.kernel.plane import Plane
from undermesh.kernel.tables import Tables
from undermesh.model.service import Level, PrioritySpec
from undermesh.model.workload import NodeId, Number, Workload
from undermesh.traffic import priority

MOST = 2.0
_CEILING = 40_000_000
_SETTLE_S = 1.0


def measure(pace: Pace) -> Iterator[Row]:
    """Both ratios to the idle link, with the rule and without, in one run."""
    seconds = pace.pick(20, 4)
    say(f"priority: a link of 50 Mbit/s, three times {seconds} s")
    with contextlib.ExitStack() as undo:
        link = undo.enter_context(slow_link.laid())
        scope = undo.enter_context(processes.own_cgroup(find_cgroup2()))
        groups = {name: undo.enter_context(_below(scope, name)) for name in ("service", "batch")}
        running = undo.enter_context(_plane(scope))
        undo.enter_context(_peer(link.near, groups["service"], "serve"))
        undo.enter_context(_peer(link.far, scope, "sink"))
        time.sleep(_SETTLE_S)
        idle = _asked(link, scope, seconds)
        undo.enter_context(_peer(link.near, groups["batch"], "fill"))
        time.sleep(_SETTLE_S)
        without = _asked(link, scope, seconds)
        _put_in_force(running, link, groups)
        time.sleep(_SETTLE_S)
        ruled = _asked(link, scope, seconds)
    yield from _rows(idle, without, ruled)


def _rows(idle: list[float], without: list[float], ruled: list[float]) -> Iterator[Row]:
    first, second, third = (spread.percentiles(x, [0.99])[0] for x in (idle, without, ruled))
    how = (
        f"milliseconds for an answer of 16 kB, asked 50 times a second. Idle: {_shown(idle)}. "
        f"Filled by 4 bulk flows: {_shown(without)}. The same with the Priority: {_shown(ruled)}"
    )
    yield Row(
        name="p99 of the critical service, link full, Priority in force",
        ours=third / first,
        unit="of idle",
        peer="without the Priority",
        theirs=second / first,
        bar=Bar(bound="≤", figure=MOST),
        how=how,
    )
    yield Row(
        name="the same without the Priority",
        ours=second / first,
        unit="of idle",
        bar=Bar(bound="≥", figure=MOST),
        how="so that it is the Priority that keeps it short",
    )


def _put_in_force(running: Plane, link: SlowLink, groups: dict[str, Path]) -> None:
    """What the agent does with two Priority objects: marks, classes, open sockets."""
    workloads = [_workload(name, path) for name, path in groups.items()]
    wanted = priority.desired(
        (
            PrioritySpec(
                namespace="default",
                name="service",
                level=Level.CRITICAL,
                workloads={"app": "service"},
                devices=("eth0",),
            ),
            PrioritySpec(
                namespace="default",
                name="batch",
                level=Level.BULK,
                workloads={"app": "batch"},
                ceiling=_CEILING,
                devices=("eth0",),
            ),
        ),
        priority.World(workloads=workloads, services={}),
    )
    problems = link.in_near(lambda: Shaper().apply(wanted.shapes))
    if problems or wanted.problems:
        raise BenchError("; ".join(map(str, (*problems.values(), *wanted.problems))))
    priorities.write(running, wanted.marks)
    if not link.in_near(running.remark):
        raise BenchError("this kernel cannot change open sockets: bpf_setsockopt in iter/tcp")


def _workload(name: str, cgroup: Path) -> Workload:
    return Workload(
        node=NodeId("bench"),
        number=Number(0),
        namespace="default",
        name=name,
        kind="run",
        labels={"app": name},
        exe="python3",
        cgroup=str(cgroup),
        cgroup_id=cgroup.stat().st_ino,
        started_ns=0,
    )


@contextlib.contextmanager
def _plane(scope: Path) -> Iterator[Plane]:
    """Our programs at one cgroup, nobody else's sockets; removed with the block."""
    options = plane.Options(cgroup_root=find_cgroup2(), instance=scope.name, scope=scope)

    def seed(tables: Tables) -> None:
        ids = np.array([path.stat().st_ino for path in scope.rglob("*") if path.is_dir()], "u8")
        tables.insert("um_cgroups", ids, np.zeros(len(ids), tables.dtype("um_cgroup")))

    try:
        with Plane.start(options=options, seed=seed) as running:
            yield running
    finally:
        plane.remove(bpffs=bpffs.DEFAULT, instance=scope.name)


@contextlib.contextmanager
def _below(scope: Path, name: str) -> Iterator[Path]:
    path = scope / name
    path.mkdir()
    try:
        yield path
    finally:
        processes.wait_until(lambda: not (path / "cgroup.procs").read_text(), what=f"{path}")
        path.rmdir()


@contextlib.contextmanager
def _peer(netns: str, cgroup: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    with processes.running(processes.start(_command(netns, *words), cgroup=cgroup)) as process:
        yield process


def _asked(link: SlowLink, cgroup: Path, seconds: int) -> list[float]:
    """Milliseconds each answer took."""
    command = _command(link.far, "ask", str(seconds))
    with processes.running(
        processes.start(command, cgroup=cgroup, stdout=subprocess.PIPE)
    ) as process:
        printed, _ = process.communicate(timeout=seconds + 30)
    took = [float(line) for line in printed.split()]
    if len(took) < 10 * seconds:
        raise BenchError(f"the service answered {len(took)} times in {seconds} s: see its stderr")
    return took


def _command(netns: str, *words: str) -> list[str]:
    ip = processes.tool("ip", "iproute2")
    return [ip, "netns", "exec", netns, sys.executable, "-m", "benchmarks.priority.peers", *words]


def _shown(took: list[float]) -> str:
    middle, high = spread.percentiles(took, [0.5, 0.99])
    return f"p50 {middle:.2f}, p99 {high:.2f} (n = {len(took)})"
