# SPDX-License-Identifier: Apache-2.0
"""What becomes of backends that may not be chosen any more, and of the connections they have."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

from undermesh.compile.desired import Life
from undermesh.reconcile.actual import Actual, Memory
from undermesh.reconcile.bulk import Bools, Held, Wanted
from undermesh.reconcile.room import Ints
from undermesh.reconcile.steps import CutBackends, ForgetBackends, Step

DRAIN = 30.0
"""Seconds of drain where nobody remembers what the service had asked for."""

GRACE = 60.0
"""Seconds after the drain time-out until a number is free though connections are still counted:
where the kernel cannot reset sockets, or a count went astray with the storage of its socket."""

POLL = 1.0
"""Seconds until the counts of who is leaving are looked at again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The steps, and what goes into the memory (there it is explained)."""

    steps: tuple[Step, ...]
    gone: Mapping[int, float]
    draining: Mapping[int, float]
    dead: frozenset[int]
    cut: frozenset[int]
    again: float | None


def follow(
    *,
    held: Held,
    wanted: Wanted,
    numbers: Ints,
    kept: Bools,
    drains: Mapping[int, float],
    actual: Actual,
    memory: Memory,
    now: float,
) -> Left:
    """`numbers` of the wanted backends, -1 for none; `kept` are those held that stay as they are.

    A number is forgotten in a later plan than the one it was retired in: a connect() that read its
    slot before the switch may be about to read its row.
    """
    life = np.where(numbers >= 0, wanted.backends["life"], Life.WELL)
    here = set(held.numbers[~kept].tolist())
    was = {**memory.draining, **memory.gone}

    def until(found: Ints) -> dict[int, float]:
        owners = actual.backends["service"][found].tolist()
        late = (now + drains.get(owner, DRAIN) for owner in owners)
        return {n: was.get(n, then) for n, then in zip(found.tolist(), late, strict=True)}

    gone_now = held.numbers[~kept & ~np.isin(held.numbers, numbers[numbers >= 0])]
    gone = _outside(memory.gone, here) | until(gone_now)
    draining = _outside(memory.draining, here) | until(numbers[life == Life.DRAINING])
    dead_now = set(numbers[life == Life.DEAD].tolist()) & here
    forgotten = _forgettable(memory.gone, gone, actual, now)
    for number in forgotten:
        del gone[number]
    late = _late(chain(gone.items(), draining.items()), actual, now)
    return Left(
        steps=(
            *_cut(sorted(n for n in dead_now - memory.dead if actual.open[n]), udp_only=True),
            *_cut(sorted(late - memory.cut), udp_only=False),
            *([ForgetBackends(np.array(forgotten, np.uint32))] if forgotten else []),
        ),
        gone=gone,
        draining=draining,
        dead=(memory.dead - here) | dead_now,
        cut=frozenset(late),
        again=_again(gone, draining, late, now),
    )


def _outside(before: Mapping[int, float], here: set[int]) -> dict[int, float]:
    return {number: until for number, until in before.items() if number not in here}


def _forgettable(
    before: Mapping[int, float], gone: Mapping[int, float], actual: Actual, now: float
) -> list[int]:
    """Gone since an earlier plan, and without connections, or overdue."""
    return sorted(
        number
        for number, until in before.items()
        if number in gone and (actual.open[number] == 0 or now >= until + GRACE)
    )


def _late(leaving: Iterable[tuple[int, float]], actual: Actual, now: float) -> set[int]:
    return {number for number, until in leaving if now >= until and actual.open[number] > 0}


def _cut(numbers: list[int], *, udp_only: bool) -> list[Step]:
    return [CutBackends(np.array(numbers, np.uint32), udp_only)] if numbers else []


def _again(
    gone: Mapping[int, float], draining: Mapping[int, float], late: set[int], now: float
) -> float | None:
    if gone:
        return POLL
    waiting = [until - now for number, until in draining.items() if number not in late]
    return max(min(waiting), POLL) if waiting else None
