# SPDX-License-Identifier: Apache-2.0
"""The services a plan is about, wanted and held, each as a few arrays: nothing loops over rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undermesh.compile.desired import (
    BACKEND,
    FRONT,
    SLOT,
    TABLE,
    BackendFlag,
    ServiceFlag,
    Shard,
    joined,
)
from undermesh.reconcile.actual import KEY_SIZE, Actual, keys, parts
from undermesh.reconcile.room import SPAN, Ints, free_numbers
from undermesh.reconcile.steps import BACKEND_ROW

BACKEND_KEY_SIZE = 30
"""address, netns, port, service: what tells one backend from another."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wanted:
    """Shards one after another. `x_of` is which shard a row is of; `table_of` a front's table among
    all, -1 for none; `spans` where each table is among all slots; slots name backends among all."""

    shards: Sequence[Shard]
    fronts: NDArray[np.void]
    front_of: Ints
    table_of: Ints
    backends: NDArray[np.void]
    backend_of: Ints
    spans: NDArray[np.void]
    span_of: Ints
    slots: NDArray[np.void]

    @classmethod
    def of(cls, shards: Sequence[Shard]) -> "Wanted":
        """All of these shards."""
        fronts, front_of, _ = _flat([one.fronts for one in shards], FRONT)
        backends, backend_of, backends_at = _flat([one.backends for one in shards], BACKEND)
        slots, slot_of, slots_at = _flat([one.slots for one in shards], SLOT)
        spans, span_of, spans_at = _flat([one.tables for one in shards], TABLE)
        spans, slots = spans.astype(SPAN), slots.copy()
        spans["at"] += slots_at[span_of].astype(np.uint32)
        slots["backend"] += backends_at[slot_of].astype(np.uint32)
        slots["other"] += backends_at[slot_of].astype(np.uint32)
        table = fronts["table"].astype(np.int64)
        return cls(
            shards=shards,
            fronts=fronts,
            front_of=front_of,
            table_of=np.where(table < 0, -1, table + spans_at[front_of]),
            backends=backends,
            backend_of=backend_of,
            spans=spans,
            span_of=span_of,
            slots=slots,
        )

    @property
    def usable(self) -> Bools:
        """Which backends may be chosen."""
        found: Bools = (self.backends["flags"] & BackendFlag.USABLE) != 0
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """What the kernel holds of some services: `services` and which of them a front is (`at`, -1 for
    none), backend `numbers` with their `backends`."""

    services: NDArray[np.void]
    keys: Sequence[bytes]
    numbers: Ints
    backends: NDArray[np.void]

    @classmethod
    def of(cls, actual: Actual, ids: NDArray[np.uint32]) -> "Held":
        """Of the services with these ids."""
        services = actual.services[np.isin(actual.services["id"], ids)]
        owners = actual.backends["service"]
        numbers = np.flatnonzero((owners != 0) & np.isin(owners, ids))
        found = actual.backends[numbers]
        backends = np.empty(len(numbers), BACKEND_ROW)
        for name in BACKEND_ROW.names or ():
            backends[name] = found[name]
        return cls(services=services, keys=keys(services), numbers=numbers, backends=backends)

    @property
    def usable(self) -> Bools:
        """Which backends may be chosen."""
        found: Bools = (self.backends["flags"] & BackendFlag.USABLE) != 0
        return found

    def at(self, wanted: Wanted) -> Ints:
        """Which of the services each wanted front is there; -1 for a new one."""
        index = {key: at for at, key in enumerate(self.keys)}
        return _found(parts(wanted.fronts, KEY_SIZE), index)

    def number(self, wanted: Wanted) -> Ints:
        """The number each wanted backend has; -1 for a new one."""
        own = parts(self.backends, BACKEND_KEY_SIZE)
        index = dict(zip(own, self.numbers.tolist(), strict=True))
        return _found(parts(wanted.backends, BACKEND_KEY_SIZE), index)


def give_numbers(wanted: Wanted, numbers: Ints, actual: Actual) -> Bools:
    """Gives usable backends that have no number one, in place. Those that cannot be used need none
    before they can. Returns which shards could not have all of theirs."""
    need = np.flatnonzero((numbers < 0) & wanted.usable)
    short = np.zeros(len(wanted.shards), np.bool_)
    if len(need):
        free = free_numbers(actual.backends, len(need))
        numbers[need[: len(free)]] = free
        short[wanted.backend_of[need[len(free) :]]] = True
    return short


def in_place(wanted: Wanted, held: Held, at: Ints, slots: NDArray[np.void], actual: Actual) -> Ints:
    """Where each wanted table is already, for one of its fronts; -1 where it is nowhere.

    `slots` are the wanted ones as the kernel is to have them.
    """
    placed = np.full(len(wanted.spans), -1, np.int64)
    front = np.flatnonzero((wanted.table_of >= 0) & (at >= 0))
    table = wanted.table_of[front]
    rows = held.services[at[front]]
    there = rows["slots_at"].astype(np.int64)
    length = wanted.spans["slots"][table].astype(np.int64)
    same = (rows["slots"] == length) & (there + length <= len(actual.slots))
    same &= (rows["flags"] & ServiceFlag.REFUSED) == 0
    table, there, length = table[same], there[same], length[same]
    if len(table):
        have = actual.slots[runs(there, length)]
        want = slots[runs(wanted.spans["at"][table].astype(np.int64), length)]
        equal = have["backend"] == want["backend"]
        equal &= have["other"] == want["other"]
        equal &= have["threshold"] == want["threshold"]
        well = np.logical_and.reduceat(equal, np.cumsum(length) - length)
        # The first front that has it decides: of several that write, numpy keeps the last.
        placed[table[well][::-1]] = there[well][::-1]
    return placed


def runs(starts: Ints, lengths: Ints) -> Ints:
    """start, start + 1 … of each start, as many as its length."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def _found(wanted: Iterable[bytes], index: dict[bytes, int]) -> Ints:
    get = index.get
    return np.array([get(key, -1) for key in wanted], np.int64)


def _flat(
    arrays: Sequence[NDArray[np.void]], dtype: np.dtype[np.void]
) -> tuple[NDArray[np.void], Ints, Ints]:
    """All rows, which array each is of, and where each array begins."""
    lengths = np.array([len(array) for array in arrays], np.int64)
    of = np.repeat(np.arange(len(arrays)), lengths)
    return joined(arrays, dtype), of, np.cumsum(lengths) - lengths
