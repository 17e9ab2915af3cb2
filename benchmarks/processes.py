# SPDX-License-Identifier: Apache-2.0
"""Child processes that do not outlive the benchmark, and what they used."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

_END_SECONDS = 10.0
_SCRATCH = "undermesh-bench-"


class BenchError(Exception):
    """A benchmark could not be run: what was tried, what answered, what to do."""


class ToolMissing(BenchError):
    """A program that a benchmark runs is not installed."""


def tool(name: str, package: str) -> str:
    """The path of a program. Raises ToolMissing with the line that installs it."""
    path = shutil.which(name, path=f"{os.defpath}:/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        raise ToolMissing(f"there is no {name} here; install it: apt-get install {package}")
    return path


def start(
    command: Sequence[str],
    *,
    cpu: int | None = None,
    cgroup: Path | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts `command` on one processor, or wherever the kernel puts it, in `cgroup` or in ours.

    It has a session of its own, so that Ctrl-C reaches the benchmark alone, which then ends it in
    order; the kernel ends it when the benchmark is killed. setpriv and taskset (util-linux) become
    it: its process id is the one returned.
    """

    first = ["setpriv", "--pdeathsig", "TERM"]
    if cgroup is not None:
        first += ["sh", "-c", 'echo 0 > "$0" && exec "$@"', str(cgroup / "cgroup.procs")]
    if cpu is not None:
        first += ["taskset", "-c", str(cpu)]
    return subprocess.Popen(
        [*first, *command],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=None if environment is None else dict(environment),
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes], *, number: signal.Signals = signal.SIGTERM) -> None:
    """Ends a child: asked first, killed when it does not listen. A stopped one is woken."""
    if process.poll() is None:
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


@contextlib.contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Ends the child with the block."""
    try:
        yield process
    finally:
        end(process)


def wait_until(
    holds: Callable[[], bool], *, what: str, seconds: float = 30.0, every: float = 0.02
) -> None:
    """Waits for a condition. Raises BenchError naming `what` when it does not come."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise BenchError(f"waited {seconds:g} s for {what}, in vain")
        time.sleep(every)


@contextlib.contextmanager
def own_cgroup(root: Path) -> Iterator[Path]:
    """A cgroup below `root` for what nobody else shall be in; removed with the block, when what
    ran in it has ended."""
    # An agent named bench-PID keeps its runs in undermesh-bench-PID and removes that at its end.
    group = root / f"{_SCRATCH}{os.getpid()}.load"
    group.mkdir()
    try:
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), what=f"{group} to empty")
        group.rmdir()


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary directory that anybody may read; removed with the block."""
    with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{os.getpid()}-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def clear_scratch() -> None:
    """Removes temporary directories of benchmarks that were killed."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*-*"):
        if not is_alive(directory.name.removeprefix(_SCRATCH).partition("-")[0]):
            shutil.rmtree(directory, ignore_errors=True)


def clear_cgroups(root: Path) -> None:
    """The same for their cgroups, when they are empty."""
    for group in root.glob(f"{_SCRATCH}*"):
        if not is_alive(group.name.removeprefix(_SCRATCH).partition(".")[0]):
            with contextlib.suppress(OSError):
                group.rmdir()


def is_alive(pid: str) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def children(pid: int) -> list[int]:
    """Processes that a process started (proc(5), children)."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used, in user space and in the kernel (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Elsewhere:
    """Processor time that went to others than the given processes, from now on: other work on the
    machine, and what the hypervisor gave to its other guests."""

    def __init__(self, *pids: int) -> None:
        self._pids = (os.getpid(), *pids)
        self._began = time.monotonic()
        self._before = self._others()

    def share(self) -> float:
        """The part of all processors since the beginning. The processes must still be there."""
        spent = self._others() - self._before
        return max(0.0, spent / (time.monotonic() - self._began) / (os.cpu_count() or 1))

    def _others(self) -> float:
        # proc(5), stat: user nice system idle iowait irq softirq steal. Interrupts are left out:
        # those of the load itself are among them.
        times = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
        busy = sum(int(times[i]) for i in (0, 1, 2, 7)) / os.sysconf("SC_CLK_TCK")
        return busy - sum(map(cpu_seconds, self._pids))


def memory_bytes(pid: int, field: str = "VmRSS") -> int:
    """A memory figure of a process (proc(5), status): VmRSS, VmHWM."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def free_ports(count: int) -> list[int]:
    """Loopback TCP ports nobody listens on."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            ports.append(int(one.getsockname()[1]))
        return ports


def clients_of(port: int) -> int:
    """Client sockets of a loopback server that data can still reach (proc(5), net/tcp: remote
    address, state). What an ended process leaves in FIN-WAIT-2 or TIME-WAIT is a stub."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    fields = (line.split() for line in lines)
    stubs = ("05", "06", "07")  # FIN_WAIT2, TIME_WAIT, CLOSE
    return sum(f[2].endswith(f":{port:04X}") and f[3] not in stubs for f in fields)


def cores(count: int = 2) -> list[int]:
    """Processors to pin load to, the first ones this process may use; fewer are used again."""
    allowed = sorted(os.sched_getaffinity(0))
    return [allowed[i % len(allowed)] for i in range(count)]
