# SPDX-License-Identifier: Apache-2.0
"""Steering over a kernel of arrays."""

import numpy as np

from undermesh import manifests
from undermesh.app.desired import Touched
from undermesh.app.steering import Edges, Place, Steering
from undermesh.compile.desired import SLOT
from undermesh.model.objects import Object
from undermesh.model.service import EndpointSet, ServiceId, ServiceName
from undermesh.model.workload import NodeId
from undermesh.reconcile.actual import Actual, keys
from undermesh.reconcile.steps import (
    BACKEND_ROW,
    SERVICE,
    CutBackends,
    DeleteServices,
    ForgetBackends,
    PutBackends,
    PutServices,
    PutSlots,
    RetireBackends,
)

LOAD = np.dtype(
    [(n, "u8") for n in ("connects", "failures", "requests", "errors", "duration_ns", "ewma_ns")]
    + [("open", "u4")]
)


class Stopped(Exception):
    """The agent died here."""


class Kernel:
    def __init__(self, *, slots=4096, backends=512):
        self.services = np.zeros(0, SERVICE)
        self.slots = np.zeros(slots, SLOT)
        self.backends = np.zeros(backends, BACKEND_ROW)
        self.counted = np.zeros(backends, LOAD)
        self.cuts: list[set[int]] = []
        self.dies_before: int | None = None
        self.done = 0

    def actual(self):
        return Actual(
            services=self.services.copy(),
            slots=self.slots,
            backends=self.backends,
            open=self.counted["open"],
        )

    def loads(self):
        return self.counted.copy()

    def perform(self, steps):
        for step in steps:
            if self.dies_before is not None and self.done >= self.dies_before:
                raise Stopped
            self.done += 1
            self._one(step)

    def _one(self, step):
        match step:
            case PutBackends(numbers=numbers, rows=rows):
                self.backends[numbers] = rows
            case RetireBackends(numbers=numbers, rows=rows):
                self.backends[numbers] = rows
            case PutSlots(at=at, rows=rows):
                self.slots[at] = rows
            case PutServices(rows=rows):
                self._without(keys(rows))
                self.services = np.concatenate([self.services, rows])
            case DeleteServices(keys=gone):
                self._without(keys(gone))
            case ForgetBackends(numbers=numbers):
                self.backends[numbers] = 0
                self.counted[numbers] = 0
            case CutBackends(numbers=numbers):
                self.cuts.append(set(numbers.tolist()))

    def _without(self, gone):
        found = keys(self.services)
        self.services = self.services[[key not in gone for key in found]]

    def reaches(self, port):
        """Addresses and ports a connect() to a service's port may come to, by service id."""
        found: dict[ServiceId, set[tuple[bytes, int]]] = {}
        for service in self.services[self.services["port"] == port]:
            span = self.slots[service["slots_at"] : service["slots_at"] + service["slots"]]
            numbers = {*span["backend"].tolist(), *span["other"].tolist()}
            rows = [self.backends[number] for number in numbers]
            assert all(row["service"] == service["id"] for row in rows)
            found.setdefault(ServiceId(int(service["id"])), set()).update(
                (bytes(row["address"][12:]), int(row["port"])) for row in rows
            )
        return found


class Said:
    def __init__(self):
        self.changed = 0
        self.tells = False
        self._before: tuple[Object, ...] = ()
        self._objects: tuple[Object, ...] = ()

    def objects(self):
        return self._objects

    def touched(self, *, since):
        """What the last `say` changed, where `tells` is set."""
        if not self.tells or since != self.changed - 1:
            return None
        before, now = self._before, self._objects
        differ = [one for one in before if one not in now] + [
            one for one in now if one not in before
        ]
        specs = [spec for one in differ for spec in one.specs]
        names = [s.service if isinstance(s, EndpointSet) else s.name for s in specs]
        services = frozenset(name for name in names if isinstance(name, ServiceName))
        return Touched(services=services, others=len(services) < len(set(map(str, names))))

    def say(self, text):
        self._before = self._objects
        read = manifests.read([manifests.Source("test.yaml", text)])
        assert not read.errors, read.errors
        self._objects = read.objects
        self.changed += 1


class Given:
    def __init__(self):
        self.kept = {}
        self.following = 1

    def read(self):
        return (
            {name: found for name, (_, found) in self.kept.items() if found},
            {name: number for name, (number, _) in self.kept.items()},
        )

    def next(self):
        return self.following

    def write(self, fresh, *, following):
        self.kept.update(fresh)
        self.following = following


class Mesh:
    """A node with nothing on it. `restart` is a new agent on the same kernel and store."""

    def __init__(self):
        self.kernel = Kernel()
        self.said = Said()
        self.given = Given()
        self.inhabitants = ()
        self.answered = ()
        self.checked = {}
        self.woken = 0
        self.second = 100.0
        self.steering = self._start()

    def restart(self):
        self.steering = self._start()

    def hosts(self):
        return self.inhabitants

    def set_names(self, entries):
        self.answered = tuple(entries)

    def set_targets(self, targets, *, presumed=()):
        self.checked = dict(targets)

    def round(self, *, after=0.0):
        self.second += after
        return self.steering.beat(now_ns=int(self.second * 1e9))

    def _start(self):
        def wake():
            self.woken += 1

        return Steering(
            edges=Edges(
                wanted=self.said,
                tables=self.kernel,
                given=self.given,
                inhabitants=self,
                names=self,
                checks=self,
            ),
            place=Place(node=NodeId("n1")),
            wake=wake,
        )
