# SPDX-License-Identifier: Apache-2.0
"""When each target is checked: at once when it is new, then at a place of its own.

Places follow the golden ratio, so that any number of targets is spread evenly over the interval, in
whatever order they come; the first one is drawn, so that the nodes that check one endpoint do not
all do it at once. Jitter moves each check about its place without adding up.
"""

import heapq
import random
from typing import Generic, TypeVar

JITTER = 0.1
"""The part of the interval by which a check may be early or late."""

_GOLDEN = 0.6180339887498949

Item = TypeVar("Item")


class Place(Generic[Item]):
    """One item's place in the interval, made by `Schedule.add`."""

    __slots__ = ("began_ns", "due_ns", "interval_ns", "item", "phase_ns")

    def __init__(self, item: Item, *, interval_ns: int, phase_ns: int) -> None:
        self.item = item
        self.interval_ns = interval_ns
        self.phase_ns = phase_ns
        self.due_ns: int | None = None
        self.began_ns = 0


class Schedule(Generic[Item]):
    """Due times of many items: O(log n) a check. What was removed is skipped when it is met."""

    def __init__(self, *, draw: random.Random) -> None:
        self._draw = draw
        self._phase = draw.random()
        self._heap: list[tuple[int, int, Place[Item]]] = []
        self._pushed = 0

    def add(self, item: Item, *, interval_ns: int, now_ns: int) -> Place[Item]:
        """A place for an item that is due now."""
        self._phase = (self._phase + _GOLDEN) % 1.0
        place = Place(item, interval_ns=interval_ns, phase_ns=int(self._phase * interval_ns))
        self._push(place, now_ns)
        return place

    def remove(self, place: Place[Item]) -> None:
        """It is never due again."""
        place.due_ns = None

    def next_ns(self) -> int | None:
        """When the next one is due; None: nothing waits."""
        while self._heap and self._heap[0][2].due_ns != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, *, now_ns: int) -> tuple[Place[Item], int] | None:
        """The place that has been due the longest, and since when. It is not due again until
        `done`."""
        due = self.next_ns()
        if due is None or due > now_ns:
            return None
        place = heapq.heappop(self._heap)[2]
        place.due_ns, place.began_ns = None, now_ns
        return place, due

    def done(self, place: Place[Item], *, now_ns: int) -> int:
        """Its check is over: due at its next place, which is returned. Places missed meanwhile are
        not made up for."""
        interval, phase = place.interval_ns, place.phase_ns
        # Half an interval at least since it was asked: one that was late is not asked twice.
        rounds = -(-(place.began_ns + interval // 2 - phase) // interval)
        rounds = max(rounds, (now_ns - phase) // interval)
        jitter = int(self._draw.uniform(-JITTER, JITTER) * interval)
        due = max(now_ns, phase + rounds * interval + jitter)
        self._push(place, due)
        return due

    def _push(self, place: Place[Item], due_ns: int) -> None:
        place.due_ns = due_ns
        self._pushed += 1
        heapq.heappush(self._heap, (due_ns, self._pushed, place))
