# SPDX-License-Identifier: Apache-2.0
"""wrk, and what it says about itself."""

import re
import signal
import subprocess
from dataclasses import dataclass

from tests.e2e.places import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What wrk got: complete answers, and everything that went wrong."""

    answers: int
    trouble: str


class Wrk:
    """A running wrk: keep-alive connections, as fast as they go, until `stop`.

    It gives way to everything else on the machine, so that what is done meanwhile is done soon.
    """

    def __init__(
        self, scope: Scope, url: str, *, connections: int = 16, place: str = "wrk"
    ) -> None:
        self.connections = connections
        argv = ["nice", "-n", "19", "wrk", "-t1", f"-c{connections}", "-d90s", url]
        self._child = scope.start(place, argv, stdout=subprocess.PIPE, text=True)

    def stop(self) -> Report:
        """Ends it as its time would, with its requests under way."""
        assert self._child.poll() is None, "the load ended before the test did"
        self._child.send_signal(signal.SIGINT)
        said = self._child.communicate(timeout=60)[0]
        found = re.search(r"(\d+) requests in", said)
        assert self._child.returncode == 0 and found is not None, said
        trouble = [
            line.strip() for line in said.splitlines() if "rrors" in line or "Non-2xx" in line
        ]
        return Report(answers=int(found[1]), trouble="; ".join(trouble))
