# SPDX-License-Identifier: Apache-2.0
"""World → Desired, a shard a service; what did not change is not made again."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from undermesh.compile import names
from undermesh.compile.desired import (
    BACKEND,
    FRONT,
    NOTHING,
    SLOT,
    TABLE,
    BackendFlag,
    Desired,
    ServiceFlag,
    Shard,
    joined,
)
from undermesh.compile.shards import shard
from undermesh.compile.world import World
from undermesh.model.service import Balancing, ServiceId, ServiceName

Value = TypeVar("Value")
Key = TypeVar("Key")


class NotClosed(Exception):
    """A shard that points at something it does not have: a mistake of ours, never published."""

    def __init__(self, found: Shard, what: str) -> None:
        super().__init__(f"compiling service {found.name}: {what}; please report this")
        self.service = found.name


def services(world: World, before: Desired = NOTHING) -> Desired:
    """What is to be. `before` saves work and changes nothing: the answer is that from scratch.

    Raises NotClosed.
    """
    changed = _changed(world, before.world)
    entries = dict(before.names)
    shards = dict(before.shards)
    problems = dict(before.problems)
    outer = _outer(world, before.world, changed)
    for name in changed:
        was = before.world.ids.get(name) if before.world else None
        if was is not None:
            shards.pop(was, None)
        entries.pop(name, None)
        problems.pop(name, None)
    made: dict[ServiceName, Shard] = {}
    for name in changed:
        if name in world.services:
            found = shard(world, name)
            if found is not None:
                made[name] = found
            if found is not None and found.refused:
                problems[name] = tuple(map(str, found.refused))
    check(made.values())
    for found in made.values():
        shards[found.id] = found
    for name in (*changed, *outer):
        if name in world.services:
            entries[name] = names.entry(world, name)
    return Desired(shards=shards, names=entries, problems=problems, world=world)


def sizes(desired: Desired) -> dict[ServiceName, int]:
    """How large each service's Maglev tables are: `World.sizes` of the next time."""
    world = desired.world
    if world is None:
        return {}
    result = {}
    for name, service in world.services.items():
        if service.balancing is Balancing.MAGLEV:
            found = desired.shards.get(world.ids.get(name, ServiceId(0)))
            if found is not None and len(found.tables):
                result[name] = int(found.tables["slots"].max())
            elif name in world.sizes:
                result[name] = world.sizes[name]
    return result


def check(made: Iterable[Shard]) -> None:
    """That every front has a table or refuses, every table slots, every slot backends that may be
    used. Raises NotClosed."""
    shards = list(made)
    fronts, front_of = _flat([one.fronts for one in shards], FRONT)
    tables, table_of = _flat([one.tables for one in shards], TABLE)
    slots, slot_of = _flat([one.slots for one in shards], SLOT)
    backends, _ = _flat([one.backends for one in shards], BACKEND)
    tables_in, slots_in, backends_in = (
        (
            np.array([len(array) for array in arrays], np.int64)
            for arrays in zip(
                *((one.tables, one.slots, one.backends) for one in shards), strict=True
            )
        )
        if shards
        else (np.zeros(0, np.int64),) * 3
    )
    none = fronts["table"] < 0
    refused = (fronts["flags"] & ServiceFlag.REFUSED) != 0
    _closed(shards, front_of, refused == none, "a front without a table")
    _closed(shards, front_of, fronts["table"] < tables_in[front_of], "a front beyond its tables")
    ends = tables["at"].astype(np.int64) + tables["slots"]
    _closed(shards, table_of, ends <= slots_in[table_of], "a table beyond its slots")
    _closed(shards, table_of, tables["slots"] > 0, "a table without slots")
    base = np.cumsum(backends_in) - backends_in
    for column in ("backend", "other"):
        named = slots[column].astype(np.int64)
        _closed(shards, slot_of, named < backends_in[slot_of], "a slot beyond its backends")
        usable = backends["flags"][named + base[slot_of]] & BackendFlag.USABLE
        _closed(shards, slot_of, usable != 0, "a slot that names a backend nobody may use")


def _flat(
    arrays: list[NDArray[np.void]], dtype: np.dtype[np.void]
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """All rows, and which array each is of."""
    lengths = [len(array) for array in arrays]
    return joined(arrays, dtype), np.repeat(np.arange(len(arrays)), lengths)


def _closed(
    shards: list[Shard], owner: NDArray[np.int64], well: NDArray[np.bool_], what: str
) -> None:
    if not well.all():
        raise NotClosed(shards[int(owner[~well][0])], what)


def _changed(world: World, before: World | None) -> list[ServiceName]:
    """Services of which anything changed, gone ones included, in order of name."""
    if before is None:
        return sorted(world.services)
    if (world.node, world.zone) != (before.node, before.zone):
        return sorted({*world.services, *before.services})
    found = _differing(world.services, before.services)
    found |= _differing(world.ids, before.ids)
    found |= _differing(world.addresses, before.addresses)
    found |= _differing(world.endpoint_sets, before.endpoint_sets)
    found |= _differing(world.selected, before.selected)
    found |= _differing(world.verdicts, before.verdicts)
    found |= _differing(world.sizes, before.sizes)
    return sorted(name for name in found if name in world.services or name in before.services)


def _differing(new: Mapping[Key, Value], old: Mapping[Key, Value]) -> set[Key]:
    if new is old:
        return set()
    missing = object()
    get = old.get
    found = {
        key
        for key, value in new.items()
        if (was := get(key, missing)) is not value and was != value
    }
    return found | (old.keys() - new.keys())


def _outer(world: World, before: World | None, changed: Iterable[ServiceName]) -> list[ServiceName]:
    """External names may end somewhere else when any service came or went."""
    if before is not None and not changed:
        return []
    return [name for name, one in world.services.items() if one.external is not None]
