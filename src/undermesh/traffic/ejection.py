# SPDX-License-Identifier: Apache-2.0
"""Putting out backends whose traffic fails, for a while and never too many of them. Pure.

Envoy's outlier detection in its terms, with these differences: how long an ejection lasts doubles
instead of growing by its base, and good traffic makes it shorter again, not time alone. The cap is
Envoy's as it is without `always_eject_one_host`: the share of the service's backends rounded down,
so that a service of one backend ejects nobody.

https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType

from undermesh.model.service import Ejection
from undermesh.traffic.outliers import Reading, Tally, outliers
from undermesh.traffic.states import EndpointKey

_DOUBLINGS = 30
"""More of them change nothing: 2**30 seconds are 34 years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Out:
    """A backend that is put out, and until when. Nanoseconds of the clock of `judge`."""

    since_ns: int
    until_ns: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What is remembered of one backend.

    `times` is how often it was put out, good traffic taken off: it decides for how long the next
    time. `spared` is why it would be out if the cap allowed it.
    """

    tally: Tally
    times: int = 0
    out: Out | None = None
    spared: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """What is remembered of one service. Backends whose counters stand still are not in it."""

    window_ns: int = 0
    """When the interval that is now running began."""
    backends: Mapping[EndpointKey, Backend] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def out(self) -> Mapping[EndpointKey, Out]:
        """Who is out now."""
        return {key: b.out for key, b in self.backends.items() if b.out is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The state after a reading, and who went out and who came back with it."""

    state: ServiceState
    ejected: tuple[EndpointKey, ...] = ()
    returned: tuple[EndpointKey, ...] = ()


def met(
    state: ServiceState, readings: Mapping[EndpointKey, Reading], *, now_ns: int
) -> ServiceState:
    """The state with the backends that it does not know yet. What they had counted before `now_ns`
    is not held against them."""
    fresh = {
        key: Backend(tally=Tally(last=reading, base=reading, base_ns=now_ns))
        for key, reading in readings.items()
        if key not in state.backends
    }
    window_ns = state.window_ns if state.backends else now_ns
    return ServiceState(window_ns=window_ns, backends={**state.backends, **fresh})


def judge(
    terms: Ejection,
    state: ServiceState,
    readings: Mapping[EndpointKey, Reading],
    *,
    members: Collection[EndpointKey],
    now_ns: int,
) -> Judged:
    """One more reading. Backends that are not in `readings` have not moved since the last one.

    `members` are all backends that could be used were none ejected: the cap is a share of them, and
    who is not one of them is forgotten.
    """
    readings = {key: reading for key, reading in readings.items() if key in members}
    state = met(state, readings, now_ns=now_ns)
    backends = {key: backend for key, backend in state.backends.items() if key in members}
    for key, reading in readings.items():
        backends[key] = _moved(backends[key], reading, now_ns=now_ns)
    allowed = int(terms.share * len(members) + 1e-9)
    returned = _let_back(backends, allowed, now_ns=now_ns)
    over = now_ns - state.window_ns >= _ns(terms.interval)
    inside = {key: backend.tally for key, backend in backends.items() if backend.out is None}
    wanted = outliers(terms, inside, whole=over, now_ns=now_ns)
    ejected = _put_out(terms, backends, wanted, allowed, now_ns=now_ns)
    if over:
        backends = _next_window(backends, wanted, now_ns=now_ns)
    return Judged(
        state=ServiceState(window_ns=now_ns if over else state.window_ns, backends=backends),
        ejected=ejected,
        returned=returned,
    )


def _moved(backend: Backend, reading: Reading, *, now_ns: int) -> Backend:
    """With a later reading. One that cannot be later is of somebody new, counted from zero."""
    if reading.continues(backend.tally.last):
        return replace(backend, tally=backend.tally.and_then(reading))
    zero = Reading(backend=reading.backend)
    return Backend(tally=Tally(last=zero, base=zero, base_ns=now_ns).and_then(reading))


def _let_back(
    backends: dict[EndpointKey, Backend], allowed: int, *, now_ns: int
) -> tuple[EndpointKey, ...]:
    """Those whose time is over, and those nearest to it when the cap has shrunk. Their counting
    starts anew: what failed while they were out had been begun before."""
    out = [(b.out.until_ns, key) for key, b in backends.items() if b.out is not None]
    out.sort(key=lambda one: one[0])
    excess = len(out) - allowed
    back = [key for order, (until, key) in enumerate(out) if until <= now_ns or order < excess]
    for key in back:
        was = backends[key]
        backends[key] = Backend(tally=was.tally.anew(now_ns=now_ns), times=was.times)
    return tuple(back)


def _put_out(
    terms: Ejection,
    backends: dict[EndpointKey, Backend],
    wanted: Mapping[EndpointKey, str],
    allowed: int,
    *,
    now_ns: int,
) -> tuple[EndpointKey, ...]:
    """As many of the wanted as the cap allows; of the others it is noted."""
    room = allowed - sum(backend.out is not None for backend in backends.values())
    ejected: list[EndpointKey] = []
    for key, reason in wanted.items():
        backend = backends[key]
        if len(ejected) >= room:
            note = f"{reason}; not ejected, since only {allowed} of its service may be at once"
            backends[key] = replace(backend, spared=note)
            continue
        doubled = _ns(terms.base) << min(backend.times, _DOUBLINGS)
        lasts = min(doubled, max(_ns(terms.most), _ns(terms.base)))
        backends[key] = Backend(
            tally=backend.tally.anew(now_ns=now_ns),
            times=backend.times + 1,
            out=Out(since_ns=now_ns, until_ns=now_ns + lasts, reason=reason),
        )
        ejected.append(key)
    return tuple(ejected)


def _next_window(
    backends: Mapping[EndpointKey, Backend], wanted: Mapping[EndpointKey, str], *, now_ns: int
) -> dict[EndpointKey, Backend]:
    """Counting from here on. Good traffic takes one off `times`; who stood still is forgotten."""
    result = {}
    for key, backend in backends.items():
        tally, times = backend.tally, backend.times
        fresh = replace(tally, base=tally.last, base_ns=now_ns)
        if key in wanted or backend.out:
            result[key] = replace(backend, tally=fresh)
            continue
        grown = tally.grown
        answered = grown.requests > grown.errors or (grown.connects and not grown.requests)
        times = max(0, times - 1) if answered else times
        if tally.last != tally.base or times or tally.run:
            result[key] = Backend(tally=fresh, times=times)
    return result


def _ns(time: timedelta) -> int:
    return int(time.total_seconds() * 1e9)
