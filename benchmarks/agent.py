# SPDX-License-Identifier: Apache-2.0
"""A real agent of the benchmark's own: `undermesh up`, default sizes, the whole host.

Its instance has its own name and keeps everything in a temporary directory; afterwards `undermesh
down` takes it out of the kernel.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import BenchError
from undermesh import config, host
from undermesh.client import AgentUnreachable, Client, connect
from undermesh.kernel import errors, plane
from undermesh.wire.edges import EdgeRow

COMMAND = Path(sys.prefix) / "bin" / "undermesh"
PATIENCE_SECONDS = 40.0
_DOWN_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an instance of the benchmark's own keeps what."""

    instance: str
    directory: Path

    @property
    def socket(self) -> Path:
        """Its API."""
        return self.directory / f"{self.instance}.sock"

    @property
    def flags(self) -> dict[str, object]:
        """What config.load is told, whatever the machine's own configuration says."""
        return {
            "agent.instance": self.instance,
            "agent.state_dir": str(self.directory / "state"),
            "agent.runtime_dir": str(self.directory),
            "agent.log_dir": str(self.directory),
        }

    def environment(self) -> dict[str, str]:
        """The same for a command; nothing that was set for another agent reaches it."""
        mine = {name: value for name, value in os.environ.items() if "UNDERMESH" not in name}
        return mine | {
            "UNDERMESH_CONFIG": os.devnull,
            "UNDERMESH_INSTANCE": self.instance,
            "UNDERMESH_STATE_DIR": str(self.directory / "state"),
            "UNDERMESH_RUNTIME_DIR": str(self.directory),
        }

    def settings(self) -> config.Config:
        """The default configuration in this place."""
        return config.load(file=Path(os.devnull), environ={}, flags=self.flags)

    @property
    def log(self) -> Path:
        """What the agent says."""
        return self.directory / "agent.log"


@dataclass(slots=True, kw_only=True)
class Agent:
    """A running agent: its process and a connection to its API."""

    process: subprocess.Popen[bytes]
    place: Place
    client: Client

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def totals(self, port: int, *, seconds: float = PATIENCE_SECONDS) -> list[EdgeRow]:
        """Rows of a server port since the agent began, from a sweep that began after now.

        Raises BenchError when no sweep comes.
        """
        now, until = time.time(), time.monotonic() + seconds
        while time.monotonic() < until:
            answer = self.client.edges(total=True)
            if datetime.fromisoformat(answer.until).timestamp() >= now:
                return [row for row in answer.edges if row.port == port]
            time.sleep(0.05)
        raise BenchError(f"the agent swept no counters for {seconds:g} s; it said: {self.said()}")

    def lost(self) -> dict[str, int]:
        """What the data path could not keep, by counter; only what is not zero."""
        return {name: count for name, count in self.client.status().lost.items() if count}

    def said(self) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError):
            return self.place.log.read_text(errors="replace")[-1500:].strip()
        return ""


@contextlib.contextmanager
def up(*, scope: Path | None = None) -> Iterator[Agent]:
    """`undermesh up`, and `undermesh down` at the end of the block; for the whole host, or for what
    runs in one cgroup. Raises BenchError."""
    only = [] if scope is None else ["--scope", str(scope)]
    with placed() as place, launched(place, [str(COMMAND), "up", *only]) as agent:
        yield agent


@contextlib.contextmanager
def placed() -> Iterator[Place]:
    """An instance nobody else has; everything it left in the kernel is removed with the block."""
    _clear_abandoned()
    with processes.scratch() as directory:
        place = Place(instance=f"bench-{os.getpid()}", directory=directory)
        try:
            yield place
        finally:
            down = processes.start([str(COMMAND), "down"], environment=place.environment())
            with processes.running(down):
                down.wait(_DOWN_SECONDS)


@contextlib.contextmanager
def launched(place: Place, command: Sequence[str], *, talks: bool = False) -> Iterator[Agent]:
    """Starts an agent and waits until it answers; `talks`: it is spoken to through its stdin and
    stdout. Raises BenchError with its last words."""
    pipe = subprocess.PIPE if talks else subprocess.DEVNULL
    with place.log.open("wb") as log, contextlib.ExitStack() as stack:
        process = processes.start(
            command, stdin=pipe, stdout=pipe, stderr=log, environment=place.environment()
        )
        stack.enter_context(processes.running(process))
        client = stack.enter_context(connect(socket=place.socket, timeout=30.0))
        agent = Agent(process=process, place=place, client=client)
        _wait(agent)
        yield agent


def _clear_abandoned() -> None:
    """Takes away what a killed benchmark could not: instances of ours without a process."""
    processes.clear_scratch()
    processes.clear_cgroups(host.find_cgroup2())
    bpffs = config.KernelConfig().bpffs
    for pins in (bpffs / "undermesh").glob("bench-*"):
        if not processes.is_alive(pins.name.removeprefix("bench-")):
            with contextlib.suppress(errors.KernelError):
                plane.remove(bpffs=bpffs, instance=pins.name)


def _wait(agent: Agent) -> None:
    def answers() -> bool:
        if agent.process.poll() is not None:
            raise BenchError(f"the agent ended at once; it said: {agent.said()}")
        try:
            agent.client.status()
        except AgentUnreachable:
            return False
        return True

    processes.wait_until(answers, what="the agent to answer")
