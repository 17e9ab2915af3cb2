# SPDX-License-Identifier: Apache-2.0
"""What is known of the endpoints of one service, and what it comes to for each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from undermesh.app.standing import Known, settled
from undermesh.model.health import Health, Standing, Target, Verdict
from undermesh.model.protocol import Transport
from undermesh.model.service import Check, Ejection, EndpointSet, Service, ServiceName
from undermesh.traffic import endpoints, states
from undermesh.traffic.ejection import Judged, ServiceState
from undermesh.traffic.endpoints import NOBODY, Selected
from undermesh.traffic.states import EndpointKey

NO_VERDICTS: Mapping[EndpointKey, states.Verdict] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One service and everybody who answers for it.

    `listed` is what manifests say of each. `tcp` are those that answer for a TCP port, whom a check
    can ask at their own; a check with a port of its own asks all.
    """

    name: ServiceName
    check: Check | None = None
    ejection: Ejection | None = None
    listed: Mapping[EndpointKey, states.State] = field(default_factory=lambda: MappingProxyType({}))
    tcp: frozenset[EndpointKey] = frozenset()


def watched(
    service: Service, sets: Iterable[EndpointSet] = (), selected: Selected = NOBODY
) -> Watched:
    """A service as it is to be watched."""
    given = tuple(sets)
    found: dict[EndpointKey, states.State] = {}
    tcp: set[EndpointKey] = set()
    for port in service.ports:
        for one in endpoints.resolve(service, port, given, selected):
            if one.port:
                found.setdefault(one.key, one.state)
                if port.transport == Transport.TCP:
                    tcp.add(one.key)
    return Watched(
        name=service.name,
        check=service.check,
        ejection=service.ejection,
        listed=MappingProxyType(found),
        tcp=frozenset(tcp),
    )


class ServiceHealth:
    """One service. `in_use` are those of its endpoints that had connections before this began."""

    def __init__(self, watched: Watched, in_use: frozenset[EndpointKey] = frozenset()) -> None:
        self.watched = watched
        self.healths: dict[EndpointKey, Health] = {}
        self.ejections = ServiceState()
        self.targets: dict[Target, Check] = {}
        self._in_use = in_use
        self._found: dict[Target, Verdict] = {}
        self._asked: dict[EndpointKey, Target] = {}
        self._asking: dict[Target, list[EndpointKey]] = {}
        self._said: dict[EndpointKey, states.Verdict] = {}
        self._verdicts: Mapping[EndpointKey, states.Verdict] | None = NO_VERDICTS
        if watched.check is not None:
            self._plan(watched.check)

    def becomes(self, watched: Watched) -> "ServiceHealth":
        """The service as it is now, with what was known of those who stay. Who is usable is in use:
        a check that is new has to speak against it first."""
        usable = frozenset(key for key, health in self.healths.items() if health.usable)
        after = ServiceHealth(watched, usable & watched.listed.keys())
        after.healths = {k: h for k, h in self.healths.items() if k in watched.listed}
        after._found = {t: v for t, v in self._found.items() if t in after.targets}
        after._said = {key: said for key, said in self._said.items() if key in watched.listed}
        after._verdicts = self._verdicts if after._said == self._said else None
        if watched.ejection == self.watched.ejection:
            after.ejections = self.ejections
        return after

    @property
    def presumed(self) -> Iterable[Target]:
        """Targets that are in use although nobody has heard of them yet."""
        return (self._asked[key] for key in self._in_use if key in self._asked)

    @property
    def members(self) -> frozenset[EndpointKey]:
        """Who could be used, were nobody ejected."""
        return frozenset(
            key
            for key, health in self.healths.items()
            if health.usable or health.standing == Standing.EJECTED
        )

    @property
    def verdicts(self) -> Mapping[EndpointKey, states.Verdict]:
        """Who is not to be used whatever their manifest says; the same object until it changes."""
        if self._verdicts is None:
            self._verdicts = MappingProxyType(dict(self._said)) if self._said else NO_VERDICTS
        return self._verdicts

    def found(self, verdict: Verdict) -> bool:
        """What a check came to. Whether that changes what is to be compiled."""
        self._found[verdict.target] = verdict
        asking = self._asking.get(verdict.target, ())
        return self.settle(asking, now_ns=verdict.since_ns)

    def judged(self, judged: Judged, *, now_ns: int) -> bool:
        """What the counters came to. Whether that changes what is to be compiled."""
        before, after = self.ejections.backends, judged.state.backends
        self.ejections = judged.state
        noted = [key for key, b in (*before.items(), *after.items()) if b.out or b.spared]
        return self.settle(dict.fromkeys(noted), now_ns=now_ns)

    def settle(self, keys: Iterable[EndpointKey], *, now_ns: int) -> bool:
        """Puts together what is known of these. Whether that changes what is to be compiled."""
        changed = False
        for key in keys:
            if key not in self.watched.listed:
                continue
            health = settled(self._known(key), before=self.healths.get(key), now_ns=now_ns)
            self.healths[key] = health
            said = _said(health)
            if said != self._said.get(key):
                changed = True
                if said is None:
                    del self._said[key]
                else:
                    self._said[key] = said
        if changed:
            self._verdicts = None
        return changed

    def _plan(self, check: Check) -> None:
        """Who is to be asked where: everybody who is not leaving, those that are not ready
        included, so that they need not wait once they are."""
        for key, state in self.watched.listed.items():
            if isinstance(state, states.Draining) or not (check.port or key in self.watched.tcp):
                continue
            target = Target(self.watched.name, key.address, check.port or key.port, key.netns)
            self.targets[target] = check
            self._asked[key] = target
            self._asking.setdefault(target, []).append(key)

    def _known(self, key: EndpointKey) -> Known:
        target, counted = self._asked.get(key), self.ejections.backends.get(key)
        return Known(
            state=self.watched.listed[key],
            checked=target is not None,
            in_use=key in self._in_use,
            verdict=self._found.get(target) if target is not None else None,
            out=counted.out if counted else None,
            spared=counted.spared if counted else "",
        )


def _said(health: Health) -> states.Verdict | None:
    """What is compiled of it; None: nothing beyond what the manifest says."""
    match health.standing:
        case Standing.UNHEALTHY:
            return states.CheckFailed(health.reason)
        case Standing.WAITING if not health.usable:
            return states.CheckFailed(health.reason)
        case Standing.EJECTED:
            return states.Ejected(health.reason)
        case _:
            return None
