# SPDX-License-Identifier: Apache-2.0
"""One state for every endpoint, out of what its manifest, its checks and its traffic say.

Level-triggered: `watch` is told all that there is, `found` and `counted` what was learned of it, in
any order and as often as anybody likes; `of` is what they come to. All in one thread.

Who was never checked is not used until the first check has come back, as with Envoy and Consul,
with one exception: who is in use already (the agent was restarted, or the check is new) stays in
use until checks have spoken against it. A restart never takes an endpoint away.
"""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from undermesh.app.service_health import NO_VERDICTS, ServiceHealth, Watched
from undermesh.model.health import Health, Target, Verdict
from undermesh.model.service import BackendId, Check, ServiceName
from undermesh.traffic import ejection, states
from undermesh.traffic.outliers import Reading
from undermesh.traffic.states import EndpointKey

Structured = NDArray[np.void]

Owners = Mapping[BackendId, tuple[ServiceName, EndpointKey]]
"""Whose number each backend is."""

_COUNTERS = ("connects", "failures", "requests", "errors", "duration_ns")


class Checks(Protocol):
    """Asks endpoints how they are (the prober)."""

    def set_targets(
        self, targets: Mapping[Target, Check], *, presumed: Collection[Target] = ()
    ) -> None: ...


class Healths:
    """The health of every endpoint of every service.

    `in_use` are the endpoints that the kernel sends connections to when the agent starts. `wake` is
    called when something is to be compiled anew.
    """

    def __init__(
        self,
        *,
        checks: Checks,
        in_use: Mapping[ServiceName, Collection[EndpointKey]] = MappingProxyType({}),
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._checks = checks
        self._in_use = {name: frozenset(keys) for name, keys in in_use.items()}
        self._wake = wake
        self._services: dict[ServiceName, ServiceHealth] = {}
        self._changed: set[ServiceName] = set()
        self._loads: Structured | None = None
        self._loads_ns = 0

    def watch(self, services: Mapping[ServiceName, Watched], *, now_ns: int) -> None:
        """All there is from now on. A service that has not changed is best given as the same
        object."""
        replanned = False
        for name in self._services.keys() - services.keys():
            replanned |= bool(self._services.pop(name).targets)
            self._changed.discard(name)
        for name, watched in services.items():
            replanned |= self._becomes(name, watched, now_ns)
        if replanned:
            self._aim()

    def rewatch(self, services: Mapping[ServiceName, Watched | None], *, now_ns: int) -> None:
        """The same for these services only; None where there is none any more."""
        replanned = False
        for name, watched in services.items():
            if watched is not None:
                replanned |= self._becomes(name, watched, now_ns)
            elif name in self._services:
                replanned |= bool(self._services.pop(name).targets)
                self._changed.discard(name)
        if replanned:
            self._aim()

    def found(self, verdict: Verdict) -> None:
        """What a check came to; the prober's `report`."""
        name = verdict.target.service
        service = self._services.get(name)
        if service is not None and verdict.target in service.targets:
            self._note(name, service.found(verdict))

    def counted(self, loads: Structured, owners: Owners, *, now_ns: int) -> None:
        """The kernel's counters, all of um_loads by backend number; kept until the next ones come.

        Costs by what moved: a service whose counters stand still, with nobody out, is not looked
        at. The first reading is only what later ones are compared with.
        """
        before, before_ns = self._loads, self._loads_ns
        self._loads, self._loads_ns = loads, now_ns
        if before is None or len(before) != len(loads):
            return
        latest: dict[ServiceName, dict[EndpointKey, Reading]] = {}
        earlier: dict[ServiceName, dict[EndpointKey, Reading]] = {}
        for number in map(BackendId, np.flatnonzero(_moved(before, loads)).tolist()):
            if number in owners:
                name, key = owners[number]
                latest.setdefault(name, {})[key] = _reading(number, loads)
                earlier.setdefault(name, {})[key] = _reading(number, before)
        for name, service in self._services.items():
            terms = service.watched.ejection
            if terms is None or not (name in latest or service.ejections.backends):
                continue
            judged = ejection.judge(
                terms,
                ejection.met(service.ejections, earlier.get(name, {}), now_ns=before_ns),
                latest.get(name, {}),
                members=service.members,
                now_ns=now_ns,
            )
            self._note(name, service.judged(judged, now_ns=now_ns))

    def of(self, name: ServiceName) -> Mapping[EndpointKey, Health]:
        """Every endpoint of a service: what `explain` shows."""
        service = self._services.get(name)
        return dict(service.healths) if service else {}

    def verdicts(self, name: ServiceName) -> Mapping[EndpointKey, states.Verdict]:
        """Who is not to be used whatever their manifest says: what is compiled. The same object
        until it changes."""
        service = self._services.get(name)
        return service.verdicts if service else NO_VERDICTS

    def take_changed(self) -> frozenset[ServiceName]:
        """The services whose verdicts changed since this was last asked."""
        changed, self._changed = frozenset(self._changed), set()
        return changed

    def _becomes(self, name: ServiceName, watched: Watched, now_ns: int) -> bool:
        """Takes over a service as it is to be watched; whether other targets are to be checked."""
        known = self._services.get(name)
        if known is not None and known.watched == watched:
            return False
        if known is None:
            service = ServiceHealth(watched, self._in_use.pop(name, frozenset()))
        else:
            service = known.becomes(watched)
        self._services[name] = service
        changed = service.settle(watched.listed, now_ns=now_ns)
        self._note(name, changed or known is None or service.verdicts is not known.verdicts)
        return service.targets != (known.targets if known else {})

    def _note(self, name: ServiceName, changed: bool) -> None:
        if changed:
            self._changed.add(name)
            self._wake()

    def _aim(self) -> None:
        """Tells the prober whom to check."""
        targets: dict[Target, Check] = {}
        presumed: set[Target] = set()
        for service in self._services.values():
            targets.update(service.targets)
            presumed.update(service.presumed)
        self._checks.set_targets(targets, presumed=presumed)


def _moved(before: Structured, after: Structured) -> NDArray[np.bool_]:
    moved = np.zeros(len(after), dtype=np.bool_)
    for name in _COUNTERS:
        moved |= before[name] != after[name]
    return moved


def _reading(number: BackendId, loads: Structured) -> Reading:
    load = loads[number]
    return Reading(
        backend=number,
        connects=int(load["connects"]),
        failures=int(load["failures"]),
        requests=int(load["requests"]),
        errors=int(load["errors"]),
        duration_ns=int(load["duration_ns"]),
        ewma_ns=int(load["ewma_ns"]),
    )
