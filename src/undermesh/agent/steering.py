# SPDX-License-Identifier: Apache-2.0
"""Steering's edges, as it wants them, and the task that calls it."""

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

import numpy as np
from numpy.typing import NDArray

from undermesh import store
from undermesh.agent.loops import Loop, Pace
from undermesh.agent.places import Places
from undermesh.host import netns
from undermesh.kernel import cutting, errors
from undermesh.kernel import steering as tables
from undermesh.kernel.maps import Map
from undermesh.model.service import Address, Netns, ServiceId, ServiceName
from undermesh.model.workload import NodeId, Workload
from undermesh.reconcile.actual import Actual
from undermesh.reconcile.steps import (
    CutBackends,
    DeleteServices,
    ForgetBackends,
    PutBackends,
    PutServices,
    PutSlots,
    RetireBackends,
    Step,
)
from undermesh.traffic.selecting import HostWorkload

log = logging.getLogger("undermesh.agent")

WORKLOAD_LABEL = "undermesh.io/workload"
"""Every workload has its name under this label, so that a selector can say it."""

BEAT_SECONDS = 0.25
HOSTS_NS = 400_000_000


class Tables:
    """The kernel's tables; steps in the order they were planned."""

    def __init__(self, maps: Mapping[str, Map], places: Places) -> None:
        self._tables = tables.Steering(maps)
        self._maps = maps
        self._places = places
        self._cutting: cutting.Cutting | None = None

    def actual(self) -> Actual:
        held = self._tables.actual()
        return Actual(
            services=held.services,
            slots=held.slots,
            backends=held.backends,
            open=held.loads["open"],
        )

    def loads(self) -> NDArray[np.void]:
        return self._tables.loads()

    def perform(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case PutBackends(numbers=numbers, rows=rows):
                    self._tables.put_backends(numbers, rows)
                case RetireBackends(numbers=numbers, rows=rows):
                    self._tables.put_backends(numbers, rows)
                case PutSlots(at=at, rows=rows):
                    self._tables.put_slots(at, rows)
                case PutServices(rows=rows):
                    self._tables.put_services(rows)
                case DeleteServices(keys=keys):
                    self._tables.delete_services(keys)
                case CutBackends(numbers=numbers, udp_only=udp_only):
                    self._cut(numbers, udp_only=udp_only)
                case ForgetBackends(numbers=numbers):
                    self._tables.forget_backends(numbers)

    def close(self) -> None:
        """Lets go of the kernel's memory."""
        if self._cutting is not None:
            self._cutting.close()
        self._tables.close()

    def _cut(self, numbers: NDArray[np.uint32], *, udp_only: bool) -> None:
        """Resets the sockets of backends. Where the kernel cannot (before 6.5) they end on their
        own: that is said, and nothing waits for it."""
        with contextlib.ExitStack() as stack:
            try:
                if self._cutting is None:
                    self._cutting = cutting.Cutting.load(self._maps)
                self._cutting.cut(
                    self._tables,
                    numbers,
                    namespaces=[_opened(one, stack) for one in self._places.all()],
                    udp_only=udp_only,
                )
            except (errors.KernelError, OSError) as error:
                log.warning("cutting the connections of %d backends: %s", len(numbers), error)


def _opened(place: netns.Namespace, stack: contextlib.ExitStack) -> int:
    """A descriptor of a network namespace. Raises OSError."""
    descriptor = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


class Given:
    """What services were given, one key a service, below this node's."""

    def __init__(self, keys: store.KeyStore, *, node: NodeId) -> None:
        self._keys = keys
        self._prefix = f"/nodes/{node}/services/"
        self._following = f"/nodes/{node}/service-next"

    def read(self) -> tuple[dict[ServiceName, tuple[Address, ...]], dict[ServiceName, ServiceId]]:
        addresses: dict[ServiceName, tuple[Address, ...]] = {}
        numbers: dict[ServiceName, ServiceId] = {}
        for entry in self._keys.range(self._prefix):
            namespace, _, name = entry.key.removeprefix(self._prefix).partition("/")
            said = json.loads(entry.value)
            service = ServiceName(namespace, name)
            numbers[service] = ServiceId(int(said["id"]))
            found = tuple(ip_address(one) for one in said["addresses"])
            if found:
                addresses[service] = found
        return addresses, numbers

    def next(self) -> int:
        entry = self._keys.get(self._following)
        return int(entry.value) if entry is not None else 1

    def write(
        self,
        fresh: Mapping[ServiceName, tuple[ServiceId, tuple[Address, ...]]],
        *,
        following: int,
    ) -> None:
        writes = [
            store.Write(
                key=f"{self._prefix}{name.namespace}/{name.name}",
                value=json.dumps({"id": number, "addresses": [str(one) for one in found]}).encode(),
            )
            for name, (number, found) in fresh.items()
        ]
        writes.append(store.Write(key=self._following, value=str(following).encode()))
        self._keys.commit(writes)


class Inhabitants:
    """The host's workloads and their network namespaces, looked at a few times a second."""

    def __init__(
        self, look: Callable[[], Sequence[tuple[Workload, int]]], *, zone: str = ""
    ) -> None:
        self._look = look
        self._zone = zone
        self._looked_ns = -HOSTS_NS
        self._hosts: tuple[HostWorkload, ...] = ()

    def hosts(self) -> Sequence[HostWorkload]:
        now = time.monotonic_ns()
        if now - self._looked_ns >= HOSTS_NS:
            self._looked_ns = now
            found = tuple(self._host(one, cookie) for one, cookie in self._look())
            if found != self._hosts:
                self._hosts = found
        return self._hosts

    def _host(self, workload: Workload, cookie: int) -> HostWorkload:
        labels = {WORKLOAD_LABEL: workload.name, **workload.labels}
        return HostWorkload(
            workload=replace(workload, labels=labels, pids=()),
            netns=Netns(cookie),
            zone=self._zone,
        )


class SteeringLoop(Loop):
    """Rounds of steering: at once when woken, and at a slow beat."""

    def __init__(self, round_: Callable[[], object]) -> None:
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(pace=Pace(name="steering", seconds=BEAT_SECONDS), round_=round_)

    def wake(self) -> None:
        """A round is due; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._event.set)

    async def task(self) -> None:
        """Rounds without end."""
        self._loop = asyncio.get_running_loop()
        self.run_once()
        while True:
            try:
                async with asyncio.timeout(max(BEAT_SECONDS, self.rest())):
                    await self._event.wait()
            except TimeoutError:
                pass  # the beat
            self._event.clear()
            self.run_once()
