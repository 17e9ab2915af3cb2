# SPDX-License-Identifier: Apache-2.0
"""Checks many targets, each at its own pace, and reports what became of them."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from undermesh.health.answer import Answer, NotTried
from undermesh.health.asking import check_once
from undermesh.health.connecting import ConnectIn
from undermesh.health.schedule import Place, Schedule
from undermesh.health.thresholds import Record, after
from undermesh.model.health import Target, Verdict
from undermesh.model.service import Check

log = logging.getLogger("undermesh.health")

CONCURRENCY = 512
"""Checks under way at once, each with one file descriptor; the rest wait, the latest first."""

_TICK = 0.005  # seconds; checks due within it start together: fewer wake-ups, same spread
_BATCH = 32  # starts between two turns of the event loop, which others use too
_COMPLAIN_EVERY_NS = 60_000_000_000
_NEVER_NS = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class ProberStatus:
    """How it has been going. `late_ns` is how long the last check waited for its turn;
    `problem` is why this host could not ask, the last time it could not."""

    targets: int
    running: int
    checks: int
    not_tried: int
    late_ns: int
    problem: str


class _Watch:
    """One target, what is known of it, and its check while one is under way."""

    __slots__ = ("check", "place", "record", "target", "task")

    def __init__(self, target: Target, check: Check, record: Record) -> None:
        self.target = target
        self.check = check
        self.record = record
        self.place: Place[_Watch] | None = None
        self.task: asyncio.Task[None] | None = None

    def verdict(self) -> Verdict | None:
        """None until it has been checked."""
        record = self.record
        if record.healthy is None:
            return None
        return Verdict(
            target=self.target,
            healthy=record.healthy,
            since_ns=record.since_ns,
            reason=record.reason,
            latency_ns=record.latency_ns,
        )


class Prober:
    """Checks the targets it was last given. `report` is called in the event loop on a target's
    first verdict, whenever its health turns, and when the reason becomes another.

    A target that was never checked has no verdict: whether it is used meanwhile is decided by
    whoever asks (app/health.py: only if it already was).
    """

    def __init__(
        self,
        report: Callable[[Verdict], None],
        *,
        connect_in: ConnectIn | None = None,
        concurrency: int = CONCURRENCY,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._report = report
        self._connect_in = connect_in
        self._concurrency = concurrency
        self._clock = clock
        self._schedule: Schedule[_Watch] = Schedule(draw=random.Random())
        self._watches: dict[Target, _Watch] = {}
        self._running = 0
        self._wake = asyncio.Event()
        self._sleeps_until_ns = 0
        self._checks = 0
        self._not_tried = 0
        self._late_ns = 0
        self._problem = ""
        self._complained_ns = -_COMPLAIN_EVERY_NS

    def set_targets(
        self, targets: Mapping[Target, Check], *, presumed: Collection[Target] = ()
    ) -> None:
        """All there is to check from now on; what is new is checked at once.

        A target whose check became another keeps its verdict until the new one speaks against it.
        `presumed` are in use already: they have `unhealthy_after` failures before they are out.
        Called in the event loop's thread.
        """
        now = self._clock()
        for target in self._watches.keys() - targets.keys():
            self._stop(self._watches.pop(target))
        for target, check in targets.items():
            watch = self._watches.get(target)
            if watch is None:
                record = Record(presumed=target in presumed, since_ns=now)
                watch = self._watches[target] = _Watch(target, check, record)
            elif watch.check == check:
                continue
            self._stop(watch)
            watch.check, watch.record = check, replace(watch.record, against=0)
            watch.place = self._schedule.add(watch, interval_ns=_ns(check.interval), now_ns=now)
        self._wake.set()

    def verdicts(self) -> Mapping[Target, Verdict]:
        """What is known now of every target that has been checked."""
        found = ((target, watch.verdict()) for target, watch in self._watches.items())
        return {target: verdict for target, verdict in found if verdict}

    def status(self) -> ProberStatus:
        """How it has been going."""
        return ProberStatus(
            targets=len(self._watches),
            running=self._running,
            checks=self._checks,
            not_tried=self._not_tried,
            late_ns=self._late_ns,
            problem=self._problem,
        )

    async def run(self) -> None:
        """Checks without end. Ends by being cancelled, and takes its checks along."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._start_due(group)
                await self._pause()

    def _start_due(self, group: asyncio.TaskGroup) -> None:
        now = self._clock()
        for _ in range(min(_BATCH, self._concurrency - self._running)):
            taken = self._schedule.take(now_ns=now)
            if taken is None:
                return
            place, due = taken
            self._late_ns = now - due
            self._running += 1
            watch = place.item
            watch.task = group.create_task(self._check(watch), name=f"check {watch.target.service}")
            watch.task.add_done_callback(partial(self._ended, watch, place))

    async def _pause(self) -> None:
        """Until something is due and there is room for it, or the targets change."""
        self._wake.clear()
        due = self._schedule.next_ns()
        if due is None or self._running >= self._concurrency:
            self._sleeps_until_ns = _NEVER_NS  # a check that ends wakes us
            await self._wake.wait()
            return
        seconds = (due - self._clock()) / 1e9
        if seconds <= 0.0:
            await asyncio.sleep(0)
            return
        self._sleeps_until_ns = due
        try:
            async with asyncio.timeout(max(seconds, _TICK)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _check(self, watch: _Watch) -> None:
        begun = self._clock()
        try:
            answer = await check_once(watch.target, watch.check, connect_in=self._connect_in)
            self._take(watch, answer, latency_ns=self._clock() - begun)
        except Exception:
            log.exception("checking %s ended in neither an answer nor a failure", watch.target)

    def _ended(self, watch: _Watch, place: Place[_Watch], task: asyncio.Task[None]) -> None:
        self._running -= 1
        due = _NEVER_NS
        # One that was stopped has another place by now, or none.
        if watch.task is task:
            watch.task = None
            due = self._schedule.done(place, now_ns=self._clock())
        if self._running == self._concurrency - 1 or due < self._sleeps_until_ns:
            self._wake.set()

    def _take(self, watch: _Watch, answer: Answer, *, latency_ns: int) -> None:
        self._checks += 1
        if isinstance(answer, NotTried):
            self._complain(answer)
            return
        before, now = watch.record, self._clock()
        watch.record = after(before, watch.check, answer, now_ns=now, latency_ns=latency_ns)
        verdict = watch.verdict()
        if verdict and (verdict.healthy, verdict.reason) != (before.healthy, before.reason):
            self._report(verdict)

    def _complain(self, answer: NotTried) -> None:
        self._not_tried += 1
        self._problem = answer.reason
        now = self._clock()
        if now - self._complained_ns >= _COMPLAIN_EVERY_NS:
            self._complained_ns = now
            log.warning("%s; what is known of it stays as it is", answer.reason)

    def _stop(self, watch: _Watch) -> None:
        if watch.place:
            self._schedule.remove(watch.place)
        if watch.task:
            watch.task.cancel()
        watch.task = watch.place = None


def _ns(time_: timedelta) -> int:
    return max(1, int(time_.total_seconds() * 1e9))
