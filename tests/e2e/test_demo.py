# SPDX-License-Identifier: Apache-2.0
"""`./run demo`: a shop, its picture, and nothing left of it."""

import functools
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.agents import ROOT
from tests.e2e.places import cgroup2
from tests.e2e.waiting import until

ROW = (
    "client server port protocol requests errors p50_ms p90_ms p99_ms rx_bytes tx_bytes rtt_us "
    "retransmits"
)
RUN = (str(ROOT / "run"), "demo", "--json")
ENTRY = ("load", "nginx")


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("UNDERMESH_")}


def start(*flags: str) -> subprocess.Popen[str]:
    """A demo in a session of its own, so that its processes are known by it."""
    return subprocess.Popen(
        [*RUN, *flags],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def below(pid: int) -> set[int]:
    """The living processes that come from one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in ("Z", "X"):
                parents[int(entry.name)] = int(fields[1])
    found = {pid} if pid in parents else set()
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def is_gone(demo: subprocess.Popen[str], pids: set[int]) -> bool:
    """Whether nothing of a demo is there any more. Its instance is named after its process."""
    name = f"demo-{demo.pid}"
    left = [f"process {pid}" for pid in pids if below(pid)]
    for directory in (Path("/sys/fs/bpf/undermesh"), Path("/run/undermesh"), cgroup2()):
        left += [str(path) for path in directory.glob(f"*{name}*")]
    return not left


def check(child: subprocess.Popen[str]) -> dict:
    said, complaints = child.communicate(timeout=100)
    assert child.returncode == 0, complaints
    assert said.count("\n") == 1
    found: dict = json.loads(said)
    assert set(found) == {"generated", "edges", "drops", "lost"}
    assert all(set(ROW.split()) <= set(row) for row in found["edges"])
    [entry] = [row for row in found["edges"] if (row["client"], row["server"]) == ENTRY]
    assert entry["requests"] == found["generated"] > 0
    assert not any(found["lost"].values())
    return found


def test_two_at_once() -> None:
    demos = [start("--seconds", "5"), start("--seconds", "5")]
    until(lambda: all(len(below(one.pid)) > 8 for one in demos), what="both shops", seconds=60)
    parts = [below(one.pid) for one in demos]
    for demo, pids in zip(demos, parts, strict=True):
        found = check(demo)
        by_server = {row["server"]: row for row in found["edges"]}
        assert len(by_server) >= 6 and by_server["redis"]["protocol"] == "tcp"
        assert any(row["errors"] for row in found["edges"])
        until(functools.partial(is_gone, demo, pids), what="all of it to be gone")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_half_way(number: int) -> None:
    demo = start("--seconds", "60")
    until(lambda: len(below(demo.pid)) > 8, what="the shop", seconds=60)
    pids = below(demo.pid)
    demo.send_signal(number)
    said, complaints = demo.communicate(timeout=60)
    assert demo.returncode == 130, complaints
    assert said == "" and "Traceback" not in complaints
    until(functools.partial(is_gone, demo, pids), what="all of it to be gone")
