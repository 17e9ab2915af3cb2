# SPDX-License-Identifier: Apache-2.0
"""Which backends of a service do worse than they may, by what the kernel counts (um_load). Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import median_low

from undermesh.model.service import BackendId, Ejection
from undermesh.traffic.states import EndpointKey

NOISE_NS = 1_000_000
"""A mean latency less than this above the median is nobody's fault, however many times it is."""

_COUNTERS = ("connects", "failures", "requests", "errors", "duration_ns")
_NOBODY = BackendId(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The counters of one backend at one time. They only grow while `backend` is the same, unless
    its number was given to another."""

    backend: BackendId = _NOBODY
    connects: int = 0
    failures: int = 0
    requests: int = 0
    errors: int = 0
    duration_ns: int = 0
    ewma_ns: int = 0

    def since(self, before: "Reading") -> "Reading":
        """What came on top of an earlier reading."""
        return replace(
            self,
            connects=self.connects - before.connects,
            failures=self.failures - before.failures,
            requests=self.requests - before.requests,
            errors=self.errors - before.errors,
            duration_ns=self.duration_ns - before.duration_ns,
        )

    def continues(self, before: "Reading") -> bool:
        """Whether it can be a later reading of the same backend."""
        return self.backend == before.backend and all(
            getattr(self, name) >= getattr(before, name) for name in _COUNTERS
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What is counted of one backend: the last reading, the one that shares are counted from, at
    `base_ns`, and failed connects in a row."""

    last: Reading
    base: Reading
    base_ns: int
    run: int = 0

    @property
    def grown(self) -> Reading:
        """What came since `base`."""
        return self.last.since(self.base)

    def and_then(self, reading: Reading) -> "Tally":
        """With a later reading of the same backend."""
        grown = reading.since(self.last)
        # In which order they came within one reading is not known: a success ends the row.
        run = 0 if grown.connects else self.run + grown.failures
        return replace(self, last=reading, run=run)

    def anew(self, *, now_ns: int) -> "Tally":
        """Counting from the last reading on."""
        return Tally(last=self.last, base=self.last, base_ns=now_ns)


def outliers(
    terms: Ejection, tallies: Mapping[EndpointKey, Tally], *, whole: bool, now_ns: int
) -> dict[EndpointKey, str]:
    """Who does worse than `terms` allow, and why. Shares and latency are judged over whole
    intervals only."""
    found = {
        key: f"{tally.run} connects in a row failed"
        for key, tally in tallies.items()
        if 0 < terms.failures <= tally.run
    }
    if whole:
        for key, tally in tallies.items():
            reason = _failing(terms, tally, now_ns=now_ns)
            if reason:
                found.setdefault(key, reason)
        for key, reason in _slow(terms, tallies, now_ns=now_ns):
            found.setdefault(key, reason)
    return found


def _failing(terms: Ejection, tally: Tally, *, now_ns: int) -> str:
    """Why too large a share of what it was asked failed; empty: it did not."""
    grown = tally.grown
    # Counters of one backend are not read at one instant: errors may be ahead of requests.
    for what, failed, asked in (
        ("requests", min(grown.errors, grown.requests), grown.requests),
        ("connects", grown.failures, grown.failures + grown.connects),
    ):
        if asked >= max(1, terms.requests) and failed > terms.errors * asked:
            return f"{failed} of {asked} {what} failed in {_time(now_ns - tally.base_ns)}"
    return ""


def _slow(
    terms: Ejection, tallies: Mapping[EndpointKey, Tally], *, now_ns: int
) -> Iterable[tuple[EndpointKey, str]]:
    """Who is slow beside the others. Of two the faster one is the median; one alone has nobody to
    be compared with."""
    if terms.slowness <= 0:
        return
    what, means = "mean latency", _means(terms, tallies)
    if not means:
        what, means = "connect time", _connect_times(terms, tallies)
    if len(means) < 2:
        return
    middle = median_low(means.values())
    for key, mean in means.items():
        if mean > terms.slowness * middle and mean - middle > NOISE_NS:
            times = f", {mean / middle:.1f} times" if middle else " above"
            lasted = _time(now_ns - tallies[key].base_ns)
            yield key, f"{what} {_time(mean)}{times} the median of {_time(middle)} in {lasted}"


def _means(terms: Ejection, tallies: Mapping[EndpointKey, Tally]) -> dict[EndpointKey, float]:
    grown = {key: tally.grown for key, tally in tallies.items()}
    return {
        key: g.duration_ns / g.requests
        for key, g in grown.items()
        if g.requests >= max(1, terms.requests)
    }


def _connect_times(
    terms: Ejection, tallies: Mapping[EndpointKey, Tally]
) -> dict[EndpointKey, float]:
    """For a service whose requests nobody reads: there the kernel's average is of connects."""
    return {
        key: float(tally.last.ewma_ns)
        for key, tally in tallies.items()
        if not tally.last.requests and tally.grown.connects >= max(1, terms.requests)
    }


def _time(ns: float) -> str:
    """To be read: "5 s", "87.2 ms"."""
    if ns >= 2e9:
        return f"{ns / 1e9:.0f} s"
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns"
