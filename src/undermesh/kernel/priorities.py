# SPDX-License-Identifier: Apache-2.0
"""Priorities in the kernel: the rules sockets are given, and the sockets that are open already.

New sockets meet their rule when they are made, connect, listen or are accepted. Open TCP ones are
brought to it by `Plane.remark`, once in each network namespace. Open UDP ones meet it with their
next datagram that names its destination; connected ones keep what they had.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from undermesh.kernel.maps import Exist
from undermesh.model.priority import Mark, Marked
from undermesh.model.service import ServiceId

RULES = "um_priorities"
REVISION = "um_prio_rev"
DSCP, CONGESTION = 1, 2
"""UM_PRIORITY_* of bpf/abi/priority.h."""


class Tables(Protocol):
    """What is used of a plane."""

    def dtype(self, struct: str) -> np.dtype:
        """The dtype of a C struct."""
        ...

    def dump(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """All (keys, values)."""
        ...

    def insert(self, name: str, keys: object, values: object, *, exist: Exist) -> int:
        """Writes entries."""
        ...

    def delete(self, name: str, keys: np.ndarray) -> int:
        """Removes entries."""
        ...


def actual(tables: Tables) -> dict[Marked, Mark]:
    """The rules the kernel holds. Raises CallRefused."""
    keys, values = tables.dump(RULES)
    return {_marked(key): _mark(value) for key, value in zip(keys, values, strict=True)}


def write(tables: Tables, desired: Mapping[Marked, Mark]) -> bool:
    """Brings the kernel's rules to those desired; whether there was anything to change.

    What is new is written before what is gone is deleted: no socket meets a moment without a rule.
    Raises MapFull (nothing is deleted then), CallRefused.
    """
    before = actual(tables)
    fresh = {marked: mark for marked, mark in desired.items() if before.get(marked) != mark}
    gone = [marked for marked in before if marked not in desired]
    if fresh:
        keys, values = _keys(tables, list(fresh)), np.zeros(len(fresh), tables.dtype("um_priority"))
        for value, mark in zip(values, fresh.values(), strict=True):
            _fill(value, mark)
        tables.insert(RULES, keys, values, exist="any")
    if gone:
        tables.delete(RULES, _keys(tables, gone))
    if fresh or gone:
        _next_revision(tables)
    return bool(fresh or gone)


def _next_revision(tables: Tables) -> None:
    _, values = tables.dump(REVISION)
    following = (int(values[0]) + 1) & 0xFFFFFFFF
    tables.insert(REVISION, 0, following or 1, exist="any")


def _keys(tables: Tables, marked: list[Marked]) -> np.ndarray:
    keys = np.zeros(len(marked), tables.dtype("um_priority_key"))
    keys["cgroup_id"] = [one.cgroup_id for one in marked]
    keys["port"] = [one.port for one in marked]
    keys["service"] = [int(one.service) for one in marked]
    return keys


def _marked(key: np.void) -> Marked:
    return Marked(
        cgroup_id=int(key["cgroup_id"]),
        port=int(key["port"]),
        service=ServiceId(int(key["service"])),
    )


def _mark(value: np.void) -> Mark:
    flags = int(value["flags"])
    name = bytes(value["congestion"]).rstrip(b"\0").decode("ascii", "replace")
    return Mark(
        priority=int(value["priority"]),
        dscp=int(value["tos"]) >> 2 if flags & DSCP else None,
        congestion=name if flags & CONGESTION else "",
    )


def _fill(value: np.void, mark: Mark) -> None:
    value["priority"] = mark.priority
    if mark.dscp is not None:
        value["flags"] |= DSCP
        value["tos"] = mark.dscp << 2
    if mark.congestion:
        value["flags"] |= CONGESTION
        value["congestion"] = mark.congestion.encode()
