# SPDX-License-Identifier: Apache-2.0
"""What an engineer would count requests with today: bpftrace and tcpdump, at their cheapest."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from benchmarks import nginx, processes, toggled
from benchmarks.processes import BenchError

TRACEFS = Path("/sys/kernel/tracing")


class Counter(Protocol):
    """Something that counts requests from `start` to `stop`."""

    name: str
    answers: bool
    """Whether it counts answers, or requests: of those, some are unanswered when a run ends."""

    def start(self, server: nginx.Nginx) -> None:
        """Everything is counted when this returns."""

    def stop(self) -> None:
        """It takes nothing from the machine any more when this returns."""

    def counted(self) -> int:
        """How many it has counted since the last `start`; asked before or after `stop`."""


class Ours:
    """undermesh: requests answered, by the agent's API."""

    name = "undermesh"
    answers = True

    def __init__(self, toggle: toggled.Toggle) -> None:
        self._toggle = toggle
        self._port = 0
        self._before = 0

    def start(self, server: nginx.Nginx) -> None:
        """Attaches the programs."""
        self._toggle.on()
        if not self._port:
            self._port = server.ports[0]

    def stop(self) -> None:
        """Detaches them."""
        self._toggle.off()

    def counted(self) -> int:
        """Since this was last asked. Attaches and detaches: the agent, too, is held while off."""
        self._toggle.on()
        total = sum(row.requests for row in self._toggle.agent.totals(self._port))
        self._toggle.off()
        self._before, counted = total, total - self._before
        return counted


class Command:
    """A program that counts until it is interrupted, and then says how many."""

    name = ""
    answers = True
    ready = b""

    def __init__(self) -> None:
        self._said = ""
        self._life = contextlib.ExitStack()

    def command(self, server: nginx.Nginx) -> list[str]:
        """What is run."""
        raise NotImplementedError

    @staticmethod
    def read(said: str) -> int | None:
        """The count in what it said."""
        raise NotImplementedError

    def start(self, server: nginx.Nginx) -> None:
        """Starts it and waits for its word that it counts. Raises BenchError."""
        self._output = os.memfd_create(self.name)
        self._life.callback(os.close, self._output)
        command = self.command(server)
        self._process = processes.start(command, stdout=self._output, stderr=self._output)
        self._life.callback(processes.end, self._process)

        def counts() -> bool:
            if self._process.poll() is not None:
                raise BenchError(f"{self.name} ended at once; it said: {self._text().strip()}")
            return self.ready in self._text().encode()

        processes.wait_until(counts, what=f"{self.name} to count")

    def stop(self) -> None:
        """Interrupts it, as Ctrl-C does."""
        processes.end(self._process, number=signal.SIGINT)
        self._said = self._text()
        self._life.close()

    def counted(self) -> int:
        """What it said at its end. Raises BenchError when that was nothing."""
        counted = self.read(self._said)
        if counted is None:
            raise BenchError(f"{self.name} gave no count; it said: {self._said.strip()}")
        return counted

    def _text(self) -> str:
        size = os.fstat(self._output).st_size
        return os.pread(self._output, size, 0).decode(errors="replace")


class Bpftrace(Command):
    """bpftrace: answers of the nginx worker by status line, added up in the kernel.

    The system call's tracepoint works on every kernel; a kprobe on a function of nginx or of the
    kernel does not.
    """

    name = "bpftrace"
    ready = b"@ticks"
    _PROGRAM = """
        tracepoint:syscalls:sys_enter_writev /pid == %d/ {
            @[str(((struct iovec *)args->vec)->iov_base, 12)] = count();
        }
        interval:ms:100 { @ticks = count(); print(@ticks); }
    """

    def __init__(self) -> None:
        super().__init__()
        self._program = processes.tool("bpftrace", "bpftrace")

    def command(self, server: nginx.Nginx) -> list[str]:
        """Probes are attached in their order: when the last one prints, the first one counts."""
        return [self._program, "-e", self._PROGRAM % server.worker]

    @staticmethod
    def read(said: str) -> int | None:
        """The sum over status lines."""
        counts = re.findall(r"@\[HTTP/1\.1 \d+\s*\]: (\d+)", said)
        return sum(map(int, counts)) if "@ticks" in said else None


class Tcpdump(Command):
    """tcpdump: packets to the server that begin with GET, written nowhere."""

    name = "tcpdump"
    answers = False
    ready = b"listening on"
    _GET = "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420"

    def __init__(self) -> None:
        super().__init__()
        self._program = processes.tool("tcpdump", "tcpdump")

    def command(self, server: nginx.Nginx) -> list[str]:
        """It captures no more of a packet than its headers."""
        what = f"tcp dst port {server.ports[0]} and {self._GET}"
        # Without -Z it would hand its output file, /dev/null, to the user it drops to.
        keep = ["-Z", "root"]
        return [self._program, *keep, "-i", "lo", "-nn", "-s", "96", "-w", "/dev/null", what]

    @staticmethod
    def read(said: str) -> int | None:
        """ "N packets captured" """
        found = re.search(r"(\d+) packets? captured", said)
        return int(found[1]) if found else None


@contextlib.contextmanager
def tracefs() -> Iterator[None]:
    """bpftrace needs tracefs: mounts it where nobody has, and unmounts it again."""
    if (TRACEFS / "events").is_dir():
        yield
        return
    _run("mount", "-t", "tracefs", "tracefs", str(TRACEFS))
    try:
        yield
    finally:
        with contextlib.suppress(BenchError):  # somebody else uses it by now
            _run("umount", str(TRACEFS))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
