# SPDX-License-Identifier: Apache-2.0
"""Processes, from /proc (proc(5))."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_READ_LIMIT = 1 << 16
_PIDS_LIMIT = 65536
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process. `exe` is the executable's file name, `cgroup` its path in cgroup v2 ("" where
    it has none); `started_ns` is CLOCK_MONOTONIC, exact to a clock tick (10 ms)."""

    pid: int
    parent: int
    exe: str
    cgroup: str
    started_ns: int


class ProcessReader:
    """Reads processes one by one. What is gone or may not be read is None."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        # /proc/<pid>/stat counts time asleep (suspend), CLOCK_MONOTONIC does not.
        self._suspended_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()

    def read(self, pid: int) -> Process | None:
        """The process `pid`, or None when it is gone."""
        home = self._proc / str(pid)
        stat = _read(home / "stat")
        if not stat:
            return None
        # The command in parentheses may hold any byte: fields are counted from the last ')'.
        command = stat[stat.find(b"(") + 1 : stat.rfind(b")")]
        fields = stat[stat.rfind(b")") + 2 :].split(b" ")
        if len(fields) < 20 or not fields[1].isdigit() or not fields[19].isdigit():
            return None
        return Process(
            pid=pid,
            parent=int(fields[1]),
            exe=self._exe(home) or os.fsdecode(command),
            cgroup=parse_cgroup(_read(home / "cgroup")),
            started_ns=int(fields[19]) * self._tick_ns - self._suspended_ns,
        )

    def _exe(self, home: Path) -> str:
        """The file name of the executable; a kernel thread has none."""
        try:
            target = os.readlink(home / "exe")
        except OSError:
            return ""
        return target.removesuffix(_DELETED).rpartition("/")[2]

    def in_cgroup(self, directory: Path) -> tuple[int, ...]:
        """Process ids in the cgroup at `directory` itself, not below; none when it is gone."""
        raw = _read(directory / "cgroup.procs")
        # 0 stands for a process that this pid namespace cannot see.
        pids = (int(line) for line in raw.split() if line.isdigit() and line != b"0")
        return tuple(sorted(set(pids)))[:_PIDS_LIMIT]

    def by_exe(self, directory: Path, exe: str, *, limit: int = 64) -> tuple[int, ...]:
        """Process ids in a cgroup that run `exe`, at most `limit` of them."""
        found: list[int] = []
        for pid in self.in_cgroup(directory):
            if self._exe(self._proc / str(pid))[: len(exe) or None] == exe:
                found.append(pid)
            if len(found) >= limit:
                break
        return tuple(found)


def parse_cgroup(text: bytes) -> str:
    """The cgroup v2 path in /proc/<pid>/cgroup: the line of hierarchy 0 (cgroups(7))."""
    for line in text.splitlines():
        if line.startswith(b"0::"):
            return os.fsdecode(line[3:].removesuffix(_DELETED.encode()))
    return ""


def _read(path: Path) -> bytes:
    try:
        with path.open("rb", buffering=0) as stream:
            chunks: list[bytes] = []
            while len(chunks) < 64 and (chunk := stream.read(_READ_LIMIT)):
                chunks.append(chunk)
            return b"".join(chunks)
    except OSError:
        return b""
