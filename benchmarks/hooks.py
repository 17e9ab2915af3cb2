# SPDX-License-Identifier: Apache-2.0
"""A whole agent that obeys `off` and `on` on its stdin: `python -m benchmarks.hooks`.

`off` detaches every program (the very loaded ones: maps, connection state and numbers stay) and
holds the agent's own loops, so that nothing of undermesh runs. `on` attaches them again. The answer
is the word itself, when it is done.

A link that was detached does not come back, and the links of `undermesh up` are the agent's own and
pinned. So this is that agent, in a process that owns its links, too.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from undermesh import config, host
from undermesh.agent import adapters, opening, running
from undermesh.kernel import links
from undermesh.kernel.plane import Plane
from undermesh.kernel.running import Running


class _Hooks:
    """The programs of a running data plane, on their hooks or off them."""

    def __init__(self, plane: Running, cgroup: Path) -> None:
        self._plane = plane
        self._cgroup = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        attached = plane.programs.items()
        self._names = [n for n, p in attached if n in plane.links and not p.spec.iterator]

    def take_off(self) -> None:
        for name in reversed(self._names):
            self._plane.pinned.unpin_link(name)
            self._plane.board.links[name].close()

    def put_back(self) -> None:
        for name in self._names:
            program = self._plane.programs[name]
            self._plane.board.links[name] = links.attach(program, cgroup_fd=self._cgroup)

    def obey(self) -> None:
        """One command and, after `off`, everything up to `on`: the caller's loop stands still."""
        word = sys.stdin.readline().strip()
        if word == "off":
            self.take_off()
            print("off", flush=True)
            word = sys.stdin.readline().strip()
            self.put_back()
        if word == "on":
            print("on", flush=True)
        elif not word:  # the benchmark is gone
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            os.kill(os.getpid(), signal.SIGTERM)


async def _live(agent: running.Agent, hooks: _Hooks) -> None:
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), hooks.obey)
    await agent.live()


def main() -> int:
    settings = config.load()
    with opening.opened(settings) as held:
        agent = running.Agent(settings=settings, held=held)
        agent.observatory.open(continues=held.continues, at=adapters.now())
        plane = held.ports.plane
        assert isinstance(plane, Plane)
        # What a plane holds is its own business; here that is what is measured.
        hooks = _Hooks(plane._running, settings.kernel.cgroup_root or host.find_cgroup2())
        asyncio.run(_live(agent, hooks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
