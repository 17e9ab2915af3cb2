# SPDX-License-Identifier: Apache-2.0
"""Records as they arrive, for those who follow."""

from collections import deque
from collections.abc import Callable

from undermesh.telemetry.growth import Structured

Wake = Callable[[], None]


class Subscription:
    """One follower's queue: bounded, and it counts the records it had no room for."""

    def __init__(self, *, batches: int, wake: Wake) -> None:
        self.dropped = 0
        self._queue: deque[Structured] = deque()
        self._limit = batches
        self._wake = wake

    def push(self, records: Structured) -> None:
        """Takes a batch; when the queue is full the oldest batch is dropped and counted."""
        if len(self._queue) >= self._limit:
            self.dropped += len(self._queue.popleft())
        self._queue.append(records)
        self._wake()

    def take(self) -> list[Structured]:
        """Everything that waits."""
        batches = list(self._queue)
        self._queue.clear()
        return batches

    def take_dropped(self) -> int:
        """Records dropped since this was last asked."""
        dropped, self.dropped = self.dropped, 0
        return dropped


class Feed:
    """Hands every batch to every follower."""

    def __init__(self, *, batches: int) -> None:
        self._batches = batches
        self._followers: list[Subscription] = []

    def __len__(self) -> int:
        return len(self._followers)

    def publish(self, records: Structured) -> None:
        """Costs nothing while nobody follows."""
        if len(records):
            for follower in self._followers:
                follower.push(records)

    def follow(self, wake: Wake) -> Subscription:
        """A new follower; `wake` is called whenever something waits for it."""
        subscription = Subscription(batches=self._batches, wake=wake)
        self._followers.append(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """The follower is gone."""
        self._followers.remove(subscription)
