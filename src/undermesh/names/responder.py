# SPDX-License-Identifier: Apache-2.0
"""The responder: a station in every network namespace, and word to the kernel where they are.

    responder = Responder(capture=…)
    responder.set_names(entries)          at any time, from any thread
    responder.set_namespaces(places)      likewise
    await responder.run()                 until cancelled

The kernel takes a query to a station only while that is published and the last word is fresh
(`UM_NAMES_STALE_MS`). It is level-triggered: each beat compares what should be with what is.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Iterable, Mapping

from undermesh.model.names import NameEntry
from undermesh.model.service import Netns
from undermesh.names import doors
from undermesh.names.counts import Counts
from undermesh.names.desk import Desk, Limits
from undermesh.names.places import Capture, Place
from undermesh.names.station import Station

__all__ = ["Capture", "Limits", "Place", "Responder"]

log = logging.getLogger("undermesh.names")

BEAT_SECONDS = 0.5
_RETRY_SECONDS = 10.0
_LEAVE_SECONDS, _LEAVE_CHECKS = 1.0, 50
_PORTS = (5399, *(base + 20 * step for step in range(8) for base in (15399, 25399)))
"""Each is followed by one per IPv6 resolver; clear of the ports the kernel gives out by itself."""

_SPARE = 2
"""Ports on ::1 opened ahead of resolvers nobody has asked yet."""


class Responder:
    """One a host, whatever the number of namespaces. Best in a thread with a loop of its own, where
    nothing else takes its time: askers wait for it."""

    def __init__(self, *, capture: Capture, limits: Limits | None = None) -> None:
        self._capture = capture
        self._desk = Desk(capture=capture, limits=limits or Limits())
        self._places: Mapping[Netns, Place] = {}
        self._stations: dict[Netns, Station] = {}
        self._refused: dict[Netns, tuple[float, str]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()

    @property
    def counts(self) -> Counts:
        """What it did so far."""
        return self._desk.counts

    @property
    def serving(self) -> frozenset[Netns]:
        """Namespaces with a station."""
        return frozenset(self._stations)

    @property
    def refused(self) -> Mapping[Netns, str]:
        """Namespaces without one, and why; their queries go where they were sent."""
        return {netns: why for netns, (_, why) in self._refused.items()}

    def set_names(self, entries: Iterable[NameEntry]) -> None:
        """From the next query on these are answered, and nothing else."""
        self._desk.set_names(entries)

    def set_namespaces(self, places: Collection[Place]) -> None:
        """These are served, and no other. Within a beat."""
        self._places = {place.cookie: place for place in places}
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> None:
        """Serves until cancelled; then nothing is captured any more, and queries under way get a
        second to be answered. Raises what the kernel's side raises."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._woken.clear()
                await self._settle()
                self._capture.publish(await self._ready())
                try:
                    await asyncio.wait_for(self._woken.wait(), BEAT_SECONDS)
                except TimeoutError:
                    continue
        finally:
            self._loop = None
            await self._leave()

    async def _settle(self) -> None:
        """Stations where they should be."""
        places, now = self._places, time.monotonic()
        for netns in [netns for netns in self._refused if netns not in places]:
            del self._refused[netns]
        for netns in [
            netns
            for netns, station in self._stations.items()
            if netns not in places or places[netns].home != station.place.home
        ]:
            self._stations.pop(netns).close()
        for netns, place in places.items():
            retry = self._refused.get(netns, (0.0, ""))[0]
            if netns in self._stations or now < retry:
                continue
            if not self._stations:
                self._choose_port()
            await self._open(netns, place, now)

    def _choose_port(self) -> None:
        """One that is free where we live ourselves: another instance may have the usual one. Asked
        for again only while there is no station: all of them share it."""
        before = self._capture.port
        for port in dict.fromkeys((before, *_PORTS)):
            try:
                doors.open_doors(port).close()
            except OSError:
                continue
            if port != before:
                log.info("port %d of lo is taken: names are answered at %d", before, port)
                self._capture.use(port)
            return

    async def _open(self, netns: Netns, place: Place, now: float) -> None:
        try:
            self._stations[netns] = await Station.open(self._desk, place)
            self._refused.pop(netns, None)
        except OSError as error:
            why = f"opening port {self._capture.port} on lo: {error.strerror or error}"
            if netns not in self._refused:
                log.warning(
                    "names are not answered in network namespace %d: %s; what has that port there "
                    "is shown by `ss -lunp sport = %d`",
                    netns,
                    why,
                    self._capture.port,
                )
            self._refused[netns] = now + _RETRY_SECONDS, why

    async def _ready(self) -> dict[Netns, int]:
        """Where queries can be answered now, and over how many ports on ::1."""
        wanted = min(self._capture.slots6, self._capture.used6() + _SPARE)
        ready: dict[Netns, int] = {}
        for netns, station in list(self._stations.items()):
            station.sweep()
            ports6 = await station.reach(wanted)
            if ports6 is not None:
                ready[netns] = ports6
        return ready

    async def _leave(self) -> None:
        """First the kernel is told, then those who asked before get their answers."""
        try:
            self._capture.publish({})
            for _ in range(_LEAVE_CHECKS):
                if not any(station.waiting for station in self._stations.values()):
                    break
                await asyncio.sleep(_LEAVE_SECONDS / _LEAVE_CHECKS)
        finally:
            for station in self._stations.values():
                station.close()
            self._stations.clear()
