# SPDX-License-Identifier: Apache-2.0
"""An agent whose programs can be taken off their hooks and put back, many times over."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import agent as agents
from benchmarks.processes import BenchError

COMMAND = (sys.executable, "-m", "benchmarks.hooks")


class Toggle:
    """The benchmark's end of `benchmarks.hooks`."""

    def __init__(self, agent: agents.Agent) -> None:
        self.agent = agent
        self._on = True

    def off(self) -> None:
        """Nothing of undermesh runs when this returns."""
        if self._on:
            self._say("off")
            self._on = False

    def on(self) -> None:
        """Everything runs when this returns."""
        if not self._on:
            self._say("on")
            self._on = True

    def _say(self, word: str) -> None:
        process = self.agent.process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{word}\n".encode())
        process.stdin.flush()
        if process.stdout.readline().decode().strip() != word:
            raise BenchError(f"the agent did not turn {word}; it said: {self.agent.said()}")


@contextmanager
def up() -> Iterator[Toggle]:
    """An agent that can be toggled; taken out of the kernel with the block. Raises BenchError."""
    with agents.placed() as place, agents.launched(place, COMMAND, talks=True) as agent:
        toggle = Toggle(agent)
        yield toggle
        toggle.on()
