# SPDX-License-Identifier: Apache-2.0
"""Desired against actual → steps: add targets, switch the reference, delete the old."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undermesh.compile.desired import Desired, Shard
from undermesh.model.service import ServiceId, ServiceName
from undermesh.reconcile import leaving
from undermesh.reconcile.actual import NO_MEMORY, Actual, Memory
from undermesh.reconcile.bulk import Bools, Held
from undermesh.reconcile.room import SPAN
from undermesh.reconcile.round import Round
from undermesh.reconcile.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do, and what to remember once all of it was done.

    `refused`: services that did not fit and stay as they were (a new one refuses connections), and
    why. `again`: in how many seconds to plan again though nothing changed, None: no need.
    """

    steps: tuple[Step, ...]
    memory: Memory
    refused: Mapping[ServiceName, str]
    again: float | None = None


def plan(desired: Desired, actual: Actual, memory: Memory = NO_MEMORY, now: float = 0.0) -> Plan:
    """The steps from what the kernel holds to what is desired.

    With the memory of the plan before, only services whose shard is another object are looked at.
    If not all steps of a plan could be done, its memory is not to be used. `now` is seconds of any
    clock that only goes forward.
    """
    changed, ids = _scope(desired, actual, memory)
    round_ = Round.of(changed, ids, actual, memory)
    rows = round_.entries()
    left = leaving.follow(
        held=round_.held,
        wanted=round_.wanted,
        numbers=np.where(round_.failed[round_.wanted.backend_of], -1, round_.numbers),
        kept=np.isin(round_.held.backends["service"], round_.failed_ids),
        drains=_drains(changed, ids, memory),
        actual=actual,
        memory=memory,
        now=now,
    )
    steps = (
        *round_.put_backends(),
        *round_.put_slots(),
        *round_.put_services(rows),
        *round_.delete_services(),
        *round_.retire_backends(),
        *left.steps,
    )
    after = Memory(
        planned=_planned(desired, changed, round_.failed),
        gone=left.gone,
        draining=left.draining,
        dead=left.dead,
        cut=left.cut,
        resting=_let_go(round_.held, rows),
    )
    return Plan(steps=steps, memory=after, refused=round_.refused, again=left.again)


def _scope(
    desired: Desired, actual: Actual, memory: Memory
) -> tuple[list[Shard], NDArray[np.uint32]]:
    """Shards to compare with the kernel, and the ids of these and of services that are gone."""
    shards, planned = desired.shards, memory.planned
    if planned:
        changed = [one for number, one in shards.items() if planned.get(number) is not one]
        gone = planned.keys() - shards.keys()
        return changed, np.array([*(one.id for one in changed), *gone], np.uint32)
    changed = list(shards.values())
    own = np.array([one.id for one in changed], np.uint32)
    there = np.concatenate([actual.services["id"], actual.backends["service"]])
    ids = np.unique(np.concatenate([own, there]))
    return changed, ids[ids != 0]


def _drains(changed: list[Shard], ids: NDArray[np.uint32], memory: Memory) -> Mapping[int, float]:
    """Seconds of drain by service, as it was last said."""
    found = {int(one.id): one.drain.total_seconds() for one in changed}
    for number in ids.tolist():
        if number not in found and (was := memory.planned.get(ServiceId(number))):
            found[number] = was.drain.total_seconds()
    return found


def _planned(desired: Desired, changed: list[Shard], failed: Bools) -> Mapping[ServiceId, Shard]:
    """Shards that need no look until they are other ones."""
    if not failed.any():
        return desired.shards
    again = {changed[int(i)].id for i in np.flatnonzero(failed)}
    return {number: one for number, one in desired.shards.items() if number not in again}


def _let_go(held: Held, rows: NDArray[np.void]) -> NDArray[np.void]:
    """Spans that fronts of before have and those of now have not."""
    had = held.services[held.services["slots"] > 0]
    now = rows["slots_at"][rows["slots"] > 0]
    old = had[~np.isin(had["slots_at"], now)]
    spans = np.empty(len(old), SPAN)
    spans["at"], spans["slots"] = old["slots_at"], old["slots"]
    return np.unique(spans)
