# SPDX-License-Identifier: Apache-2.0
"""Priorities in force: marks in the kernel, classes on devices, open sockets told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from undermesh.agent.places import Places
from undermesh.app import prioritising
from undermesh.app.steering import Steering
from undermesh.kernel import priorities
from undermesh.kernel.plane import Plane
from undermesh.model.priority import Importance
from undermesh.model.service import Netns
from undermesh.model.workload import Workload

if TYPE_CHECKING:
    from undermesh.host.shaping import Shaper

log = logging.getLogger("undermesh.agent")


class Prioritising:
    """One round a second, by level; costs nothing while no Priority is stored."""

    def __init__(
        self,
        *,
        plane: Plane,
        places: Places,
        steering: Steering,
        workloads: Callable[[], Iterable[Workload]],
    ) -> None:
        self._plane = plane
        self._places = places
        self._steering = steering
        self._workloads = workloads
        # Its netlink library has an event loop of its own, which wants a thread without one.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shaping")
        self._shaper: Shaper | None = None
        self._done: Importance | None = None
        self._said: tuple[str, ...] = ()

    def round(self) -> None:
        """Makes the kernel and the devices agree with what is stored. Raises KernelError."""
        if not self._steering.priorities and self._done in (None, prioritising.NONE):
            return
        # Here and below: netlink costs 20 MB and half a second, which is for those who use it.
        from undermesh.host.shaping import congestion_controls

        wanted = prioritising.importance(
            self._steering,
            self._workloads(),
            listeners=self._listeners(),
            places={},
            congestion=congestion_controls(),
        )
        if wanted != self._done:
            self._force(wanted)
            self._done = wanted

    def clear(self) -> None:
        """Gives back what was taken: before the programs go."""
        if self._done not in (None, prioritising.NONE):
            self._force(prioritising.NONE)
            self._thread.submit(self._shaping().remove).result()
        self._thread.shutdown()

    def _force(self, wanted: Importance) -> None:
        changed = priorities.write(self._plane, wanted.marks)
        refused = self._thread.submit(self._shaping().apply, wanted.shapes).result()
        if changed:
            for place in self._places.all():
                try:
                    place.call(self._plane.remark)
                except OSError as error:
                    log.warning("telling the sockets of netns %s: %s", place.cookie, error)
        said = (*wanted.problems, *(f"{device}: {why}" for device, why in refused.items()))
        for sentence in said:
            if sentence not in self._said:
                log.warning("%s", sentence)
        self._said = said

    def _shaping(self) -> Shaper:
        if self._shaper is None:
            from undermesh.host.shaping import Shaper

            self._shaper = Shaper()
        return self._shaper

    def _listeners(self) -> dict[tuple[Netns, int], int]:
        keys, values = self._plane.dump("um_listeners")
        places = zip(keys["netns"].tolist(), keys["port"].tolist(), strict=True)
        return {
            (Netns(netns), port): cgroup
            for (netns, port), cgroup in zip(places, values["cgroup_id"].tolist(), strict=True)
        }
