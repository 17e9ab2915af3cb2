# SPDX-License-Identifier: Apache-2.0
"""wrk, the load generator, and what it says at its end."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks import processes
from benchmarks.processes import BenchError

CONNECTIONS = 16
"""Enough that the server always has a next request, few enough that none waits long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """`requests` are those whose answer wrk read to its end; `errors` sockets that failed."""

    requests: int
    seconds: float
    errors: int


class Load:
    """A running wrk over kept connections: one thread, pinned to one core."""

    def __init__(
        self,
        url: str,
        *,
        seconds: float,
        cpu: int,
        connections: int = CONNECTIONS,
        cgroup: Path | None = None,
    ) -> None:
        self.url = url
        self.connections = connections
        whole = max(1, round(seconds))
        command = [processes.tool("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{whole}s", url]
        self._patience = whole + 30.0
        self._process = processes.start(command, cpu=cpu, cgroup=cgroup, stdout=subprocess.PIPE)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def running(self) -> bool:
        """Whether it still sends."""
        return self._process.poll() is None

    def wait(self) -> Said:
        """Waits for its end. Raises BenchError when that does not come, or it made no sense."""
        try:
            said, _ = self._process.communicate(timeout=self._patience)
        except subprocess.TimeoutExpired as error:
            self.close()
            raise BenchError(f"wrk {self.url} did not end in time") from error
        return parse(said.decode())

    def close(self) -> None:
        """Ends it, whatever it does."""
        processes.end(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def parse(text: str) -> Said:
    """Reads wrk's report. Raises BenchError when it is none."""
    done = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m),", text)
    if done is None:
        raise BenchError(f"wrk gave no report: {text.strip() or 'it said nothing'}")
    unit = {"ms": 1e-3, "s": 1.0, "m": 60.0}[done[3]]
    # Timeouts are not counted: the server is stopped on purpose before wrk ends.
    failed = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", text)
    errors = sum(map(int, failed.groups())) if failed else 0
    return Said(requests=int(done[1]), seconds=float(done[2]) * unit, errors=errors)
