# SPDX-License-Identifier: Apache-2.0
"""One plan on its way: numbers and room found, and the steps that follow from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undermesh.compile.desired import FRONT, KEY, SLOT, BackendFlag, ServiceFlag, Shard
from undermesh.model.service import ServiceName
from undermesh.reconcile.actual import KEY_SIZE, Actual, Memory, parts
from undermesh.reconcile.bulk import Bools, Held, Wanted, give_numbers, in_place, runs
from undermesh.reconcile.room import SPAN, Gaps, Ints
from undermesh.reconcile.steps import (
    BACKEND_ROW,
    SERVICE,
    DeleteServices,
    PutBackends,
    PutServices,
    PutSlots,
    RetireBackends,
    Step,
)

VALUES = ("id", "flags", "slots_at", "slots", "affinity_s", "balancing")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Round:
    """Some services, wanted and held, and how the one becomes the other.

    `at`: which entry held each wanted front is, -1 for a new one. `numbers` of the wanted backends,
    -1 for those that need none yet; `known`: which had theirs before. `slots` are the wanted ones
    with numbers; `placed` is where each table goes, or is, and `fresh` which are to be written.
    `failed` are the shards that do not fit, `refused` says why.
    """

    wanted: Wanted
    held: Held
    at: Ints
    numbers: Ints
    known: Bools
    slots: NDArray[np.void]
    placed: Ints
    fresh: Ints
    failed: Bools
    refused: Mapping[ServiceName, str]

    @classmethod
    def of(
        cls, changed: Sequence[Shard], ids: NDArray[np.uint32], actual: Actual, memory: Memory
    ) -> "Round":
        """From shards and what the kernel holds of the services with these ids."""
        wanted, held = Wanted.of(changed), Held.of(actual, ids)
        at, numbers = held.at(wanted), held.number(wanted)
        known = numbers >= 0
        short = give_numbers(wanted, numbers, actual)
        refused = {changed[int(i)].name: _no_numbers(actual) for i in np.flatnonzero(short)}
        slots = _numbered(wanted, numbers)
        placed = in_place(wanted, held, at, slots, actual)
        fresh = np.flatnonzero((placed < 0) & ~short[wanted.span_of])
        failed = short | _place(wanted, placed, fresh, actual, memory, refused)
        return cls(
            wanted=wanted,
            held=held,
            at=at,
            numbers=numbers,
            known=known,
            slots=slots,
            placed=placed,
            fresh=fresh[~failed[wanted.span_of[fresh]]],
            failed=failed,
            refused=refused,
        )

    @property
    def failed_ids(self) -> NDArray[np.uint32]:
        """The services that stay as they were."""
        shards = self.wanted.shards
        return np.array([shards[int(i)].id for i in np.flatnonzero(self.failed)], np.uint32)

    def put_backends(self) -> list[Step]:
        """New ones, and those that may be chosen again."""
        wanted, held = self.wanted, self.held
        idle = np.isin(self.numbers, held.numbers[~held.usable])
        write = wanted.usable & (~self.known | idle) & ~self.failed[wanted.backend_of]
        if not write.any():
            return []
        rows = np.empty(int(write.sum()), BACKEND_ROW)
        for name in BACKEND_ROW.names or ():
            rows[name] = wanted.backends[name][write]
        return [PutBackends(self.numbers[write].astype(np.uint32), rows)]

    def put_slots(self) -> list[Step]:
        """New tables."""
        if not len(self.fresh):
            return []
        order = self.fresh[np.argsort(self.placed[self.fresh], kind="stable")]
        spans = self.wanted.spans[order]
        lengths = spans["slots"].astype(np.int64)
        source = runs(spans["at"].astype(np.int64), lengths)
        target = runs(self.placed[order], lengths)
        return [PutSlots(target.astype(np.uint32), np.ascontiguousarray(self.slots[source], SLOT))]

    def entries(self) -> NDArray[np.void]:
        """The entry of each front. What does not fit refuses, for fronts that have none yet."""
        wanted = self.wanted
        rows = np.zeros(len(wanted.fronts), SERVICE)
        for name in FRONT.names or ():
            if name != "table":
                rows[name] = wanted.fronts[name]
        refuses = (wanted.table_of < 0) | self.failed[wanted.front_of]
        rows["flags"][refuses] |= np.uint32(ServiceFlag.REFUSED)
        points = np.flatnonzero(~refuses)
        tables = wanted.table_of[points]
        rows["slots_at"][points] = self.placed[tables]
        rows["slots"][points] = wanted.spans["slots"][tables]
        return rows

    def put_services(self, rows: NDArray[np.void]) -> list[Step]:
        """Entries that differ. Those of a namespace come before the general one that points at
        them."""
        differs = self.at < 0
        there = np.flatnonzero(~differs & ~self.failed[self.wanted.front_of])
        have = self.held.services[self.at[there]]
        for name in VALUES:
            differs[there] |= rows[name][there] != have[name]
        chosen = np.flatnonzero(differs)
        if not len(chosen):
            return []
        general = rows["netns"][chosen] == 0
        return [PutServices(rows[chosen[np.argsort(general, kind="stable")]])]

    def delete_services(self) -> list[Step]:
        """Entries nobody wants. Here the general one goes first."""
        held = self.held
        wanted = set(parts(self.wanted.fronts, KEY_SIZE))
        gone = np.array([key not in wanted for key in held.keys], np.bool_)
        gone &= ~np.isin(held.services["id"], self.failed_ids)
        chosen = np.flatnonzero(gone)
        if not len(chosen):
            return []
        own = held.services["netns"][chosen] != 0
        rows = held.services[chosen[np.argsort(own, kind="stable")]]
        keys = np.empty(len(rows), KEY)
        for name in KEY.names or ():
            keys[name] = rows[name]
        return [DeleteServices(keys)]

    def retire_backends(self) -> list[Step]:
        """Those that could be chosen and cannot any more."""
        wanted, held = self.wanted, self.held
        stay = self.numbers[wanted.usable & ~self.failed[wanted.backend_of]]
        gone = held.usable & ~np.isin(held.numbers, stay)
        gone &= ~np.isin(held.backends["service"], self.failed_ids)
        if not gone.any():
            return []
        rows = held.backends[gone]
        rows["flags"] &= np.uint8(0xFF ^ BackendFlag.USABLE)
        return [RetireBackends(held.numbers[gone].astype(np.uint32), rows)]


def _numbered(wanted: Wanted, numbers: Ints) -> NDArray[np.void]:
    """The slots as the kernel is to have them; 0 for what has no number."""
    given = np.maximum(numbers, 0).astype(np.uint32)
    slots = wanted.slots.copy()
    for column in ("backend", "other"):
        slots[column] = given[wanted.slots[column]]
    return slots


def _place(
    wanted: Wanted,
    placed: Ints,
    fresh: Ints,
    actual: Actual,
    memory: Memory,
    refused: dict[ServiceName, str],
) -> Bools:
    """Finds room for new tables, in `placed`. Returns which shards did not get all they need."""
    failed = np.zeros(len(wanted.shards), np.bool_)
    if not len(fresh):
        return failed
    rows = actual.services[actual.services["slots"] > 0]
    used = np.empty(len(rows), SPAN)
    used["at"], used["slots"] = rows["slots_at"], rows["slots"]
    resting = memory.resting if memory.resting is not None else used[:0]
    gaps = Gaps([used, resting], len(actual.slots))
    lengths = wanted.spans["slots"][fresh].tolist()
    for table, length in zip(fresh.tolist(), lengths, strict=True):
        at = gaps.take(length)
        if at is not None:
            placed[table] = at
            continue
        owner = int(wanted.span_of[table])
        failed[owner] = True
        refused[wanted.shards[owner].name] = (
            f"a table of {length:,} slots does not fit into um_slots: the largest free span is "
            f"{gaps.largest:,} of {len(actual.slots):,}; what was in force stays, fewer or "
            "smaller Maglev services make room"
        )
    return failed


def _no_numbers(actual: Actual) -> str:
    return (
        f"its endpoints do not fit into um_backends: all {len(actual.backends) - 1:,} numbers are "
        "taken; what was in force stays"
    )
