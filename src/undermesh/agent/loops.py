# SPDX-License-Identifier: Apache-2.0
"""Eternal tasks: a round at a time, at a pace, and no failing round is fatal."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from undermesh.model.status import LoopStatus

log = logging.getLogger("undermesh.agent")

SHARE = 0.04
"""The part of one processor a loop may take: after a costly round it waits longer."""

_REST_SECONDS = 3.0
_BACKOFF_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a loop runs when its rounds are short and do not fail."""

    name: str
    seconds: float
    share: float = SHARE


class Loop:
    """One eternal task. `task` never returns: it ends by being cancelled."""

    def __init__(self, *, pace: Pace, round_: Callable[[], object]) -> None:
        self._pace = pace
        self._round = round_
        self._rounds = 0
        self._failures = 0
        self._in_a_row = 0
        self._last_ns = 0
        self._busy_ns = 0
        self._problem = ""

    def status(self) -> LoopStatus:
        """How it has been going."""
        return LoopStatus(
            name=self._pace.name,
            rounds=self._rounds,
            failures=self._failures,
            last_ns=self._last_ns,
            problem=self._problem,
        )

    async def task(self) -> None:
        """Rounds without end. A late round is not made up for."""
        due = time.monotonic()
        while True:
            due = max(due + self._pace.seconds, time.monotonic() + self.rest())
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.run_once()

    def run_once(self) -> None:
        """One round. What it raises is logged, once for a row of failures, and counted."""
        start, busy = time.perf_counter_ns(), time.thread_time_ns()
        try:
            self._round()
        except Exception as error:
            self._failed(error)
        else:
            if self._in_a_row:
                log.warning("%s: works again after %d failures", self._pace.name, self._in_a_row)
            self._in_a_row = 0
            self._problem = ""
        self._rounds += 1
        self._last_ns = time.perf_counter_ns() - start
        self._busy_ns = time.thread_time_ns() - busy

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._in_a_row += 1
        self._problem = f"{type(error).__name__}: {error}"
        if self._in_a_row == 1:
            log.error(
                "%s: a round failed, and will be tried again", self._pace.name, exc_info=error
            )

    def rest(self) -> float:
        """Seconds to wait at least: by what the last round cost, by failures in a row."""
        if self._in_a_row:
            return min(_BACKOFF_SECONDS, self._pace.seconds * 2.0 ** min(self._in_a_row, 10))
        return min(_REST_SECONDS, self._busy_ns / 1e9 / self._pace.share)
