# SPDX-License-Identifier: Apache-2.0
"""Cgroups of a test's own, and the processes in them."""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.waiting import until

_JOIN = 'echo 0 > "$0/cgroup.procs" && exec "$@"'


def cgroup2() -> Path:
    """Where cgroup v2 is mounted, hybrid or pure."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if right.startswith("cgroup2 "):
            return Path(left.split()[4])
    raise AssertionError("no cgroup v2 here")


@dataclass(kw_only=True)
class Scope:
    """A cgroup below the v2 root, gone with everything in it when the test is over.

    A process started in place `curl` is the workload `<name>/curl`: cgroups are called by path.
    """

    path: Path
    files: Path
    """A directory for what its processes need."""
    started: list[subprocess.Popen[Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.name

    def place(self, name: str) -> Path:
        """The cgroup of that name below this one."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        return path

    def workload(self, place: str) -> str:
        """What rows call processes started in `place`."""
        return f"{self.name}/{place}"

    def joining(self, place: str, argv: Sequence[str]) -> list[str]:
        """`argv`, entering `place` before its first instruction."""
        return ["/bin/sh", "-c", _JOIN, str(self.place(place)), *argv]

    def start(self, place: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """A process that goes on; it ends with the test at the latest."""
        options.setdefault("stdin", subprocess.DEVNULL)
        child = subprocess.Popen(self.joining(place, argv), **options)
        self.started.append(child)
        return child

    def run(
        self, place: str, argv: Sequence[str], *, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """A process that ends by itself; its output as text."""
        options.setdefault("timeout", 60)
        done = subprocess.run(
            self.joining(place, argv), capture_output=True, text=True, check=False, **options
        )
        if check and done.returncode:
            raise AssertionError(f"{argv} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done

    def pids(self) -> list[int]:
        """Everything that runs here or below."""
        found: list[int] = []
        for procs in self.path.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found += [int(pid) for pid in procs.read_text().split()]
        return [pid for pid in found if pid]

    def remove(self) -> None:
        """Ends what runs in it and takes it away."""
        for child in self.started:
            child.kill()
        until(self._emptied, what=f"{self.path} to be empty")
        for child in self.started:
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
        for path in sorted(self.path.rglob("cgroup.procs"), key=lambda p: -len(p.parts)):
            until(functools.partial(_rmdir, path.parent), what=f"{path.parent} to go")
        _rmdir(self.path)

    def _emptied(self) -> bool:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not self.pids()


def _rmdir(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@contextlib.contextmanager
def scope(name: str) -> Iterator[Scope]:
    """A scope for the length of a block."""
    path = cgroup2() / name
    path.mkdir()
    files = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp"))
    files.chmod(0o755)
    made = Scope(path=path, files=files)
    try:
        yield made
    finally:
        made.remove()
        shutil.rmtree(files)
