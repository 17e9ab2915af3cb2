# SPDX-License-Identifier: Apache-2.0
"""What hangs on a scope's hooks, looked at all the time."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from undermesh.kernel import inventory


def on_hooks(scope: Path) -> Mapping[str, int]:
    """How many programs each cgroup hook has."""
    return {use.hook: len(use.program_ids) for use in inventory.on_cgroup(scope)}


class Watch:
    """Looks at the hooks of a scope again and again; a context manager. `least` is the fewest
    programs each hook has had, `first` how many at the beginning, `looks` how often it looked."""

    def __init__(self, scope: Path) -> None:
        self.first = on_hooks(scope)
        self.least = dict(self.first)
        self.looks = 0
        self._scope = scope
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="hooks")

    def _look(self) -> None:
        while not self._stop.wait(0.002):
            now = on_hooks(self._scope)
            self.least = {hook: min(n, now.get(hook, 0)) for hook, n in self.least.items()}
            self.looks += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
