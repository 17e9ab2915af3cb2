# SPDX-License-Identifier: Apache-2.0
"""The two ends of measured connections: compiled once, a core each, in whatever surroundings."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import BenchError

_SOURCE = Path(__file__).parent / "turns.c"
_COMPILE_SECONDS = 60.0
PORTS = 3

Target = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Connects, asks and closes, when it is told where to."""

    process: subprocess.Popen[bytes]

    def ask(self, targets: Sequence[Target]) -> float:
        """Microseconds a connection takes, over all of `targets`."""
        order = "".join(f"{address} {port}\n" for address, port in targets)
        assert self.process.stdin is not None
        self.process.stdin.write(f"{len(targets)}\n{order}".encode())
        self.process.stdin.flush()
        return float(_line(self.process, "a caller")) / 1e3


def compiled(directory: Path) -> Path:
    """The program that is both ends. Raises BenchError with what the compiler said."""
    program = directory / "turns"
    command = [processes.tool("clang", "clang"), "-O2", "-o", str(program), str(_SOURCE)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False
    )
    if done.returncode:
        raise BenchError(f"compiling {_SOURCE.name}: {done.stderr.strip()}")
    return program


@contextlib.contextmanager
def server(
    program: Path, *, cgroup: Path | None = None, within: Sequence[str] = ()
) -> Iterator[tuple[int, ...]]:
    """Ports of a server on the second core; `within`: a command that runs it somewhere else."""
    command = [*within, str(program), "serve", str(PORTS)]
    started = processes.start(
        command, cpu=processes.cores()[1], cgroup=cgroup, stdout=subprocess.PIPE
    )
    with processes.running(started) as process:
        yield tuple(map(int, _line(process, "a server").split()))


@contextlib.contextmanager
def caller(
    program: Path, *, cgroup: Path | None = None, within: Sequence[str] = ()
) -> Iterator[Caller]:
    """A caller on the first core."""
    pipe = subprocess.PIPE
    started = processes.start(
        [*within, str(program), "call"],
        cpu=processes.cores()[0],
        cgroup=cgroup,
        stdin=pipe,
        stdout=pipe,
    )
    with processes.running(started) as process:
        yield Caller(process=process)


def _line(process: subprocess.Popen[bytes], who: str) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().decode().strip()
    if not line:
        raise BenchError(f"{who} has gone; what it met is above")
    return line
