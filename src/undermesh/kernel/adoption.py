# SPDX-License-Identifier: Apache-2.0
"""Maps from one agent to the next: which are taken over, which replaced, and what was in those.

A map whose layout, size or kind has changed is replaced. Its pin moves aside before any program is
switched, and is read only after all are and none is still running, so whatever moment an agent dies
at, the next one finds every count, once, in the map in use or among the retired.
"""

import contextlib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from undermesh.kernel import convert, errors, existing, fastpath, libbpf, pins, ring, roles
from undermesh.kernel.kinds import MapType
from undermesh.kernel.libbpf import ffi, libc
from undermesh.kernel.maps import COUNTABLE, Map, MapSpec
from undermesh.kernel.pins import Pins
from undermesh.kernel.roles import Role
from undermesh.kernel.tables import Tables

Contents = tuple[np.ndarray, np.ndarray]
"""(keys, values); of a ring, no keys and the records."""

_GRACE_S = 0.1
_SYS_MEMBARRIER = {"x86_64": 324, "aarch64": 283}


@contextlib.contextmanager
def kept(pinned: Pins, wanted: Mapping[str, MapSpec]) -> Iterator[Mapping[str, int]]:
    """Descriptors, while the block runs, of the pinned maps that can be used as they are."""
    found: dict[str, int] = {}
    try:
        _find_kept(pinned, wanted, found)
        yield found
    finally:
        for fd in found.values():
            libbpf.close(fd)


def _find_kept(pinned: Pins, wanted: Mapping[str, MapSpec], found: dict[str, int]) -> None:
    for name in pinned.maps():
        spec = wanted.get(name)
        if spec is None or pinned.layout(name) != spec.layout:
            continue
        fd = pinned.map_fd(name)
        if fd is not None and existing.same_shape(fd, spec):
            found[name] = fd
        elif fd is not None:
            libbpf.close(fd)
    if not roles.WITH_SOCKETS | {roles.SOCKETS_MAP} <= found.keys():
        for name in roles.WITH_SOCKETS & found.keys():
            libbpf.close(found.pop(name))


def stop_joining(pinned: Pins, unchanged: Collection[str]) -> None:
    """Leaves to TCP what sockets of a map about to be replaced send from now on."""
    if fastpath.SWITCH in unchanged:
        return
    fd = pinned.map_fd(fastpath.SWITCH)
    if fd is not None:
        with existing.open_map(fd, name=fastpath.SWITCH) as old:
            fastpath.turn(old, off=True)


def carry_over(pinned: Pins, tables: Tables, names: Collection[str]) -> None:
    """Copies state from pinned maps about to be replaced into their successors.

    Entries the successor has already are left as they are: run again after the programs are
    switched, it adds what came in between.
    """
    for name in names:
        if roles.role(name) is not Role.STATE:
            continue
        fd = pinned.map_fd(name)
        if fd is not None:
            with existing.open_map(fd, name=name) as old:
                _copy_state(old, tables.map(name))


def replace_pins(pinned: Pins, tables: Tables, unchanged: Collection[str]) -> None:
    """Moves the pins of replaced maps aside and pins every new map."""
    for name, made in tables.maps.items():
        if name in unchanged:
            continue
        if name in pinned.maps():
            pinned.retire_map(name)
        pinned.pin_map(made)


def retire_unknown(pinned: Pins, tables: Tables) -> None:
    """Moves aside the pins of maps this version does not have: a later version's."""
    for name in pinned.maps():
        if name not in tables.maps:
            pinned.retire_map(name)


def grace() -> None:
    """Returns when no program that ran at the call is still running.

    membarrier(MEMBARRIER_CMD_GLOBAL) waits for an RCU grace period, which every program here runs
    inside of; where it is not offered (nohz_full), a while is waited.
    """
    number = _SYS_MEMBARRIER.get(os.uname().machine)
    if number is not None:
        one, none = ffi.cast("long", 1), ffi.cast("long", 0)
        if int(libc().syscall(number, one, none, none)) == 0:
            return
    time.sleep(_GRACE_S)


def read_retired(retired: Iterable[tuple[str, Path]], tables: Tables) -> dict[str, Contents]:
    """What was in replaced maps, as this version's structs; state goes into its successor too.

    An array of state is not copied again: the programs write to its successor by now. Maps this
    version does not have are left out.
    """
    found: dict[str, list[Contents]] = {}
    for name, path in retired:
        if name not in tables.maps or roles.role(name) in (Role.SCRATCH, Role.SOCKETS):
            continue
        fd = pins.open_pin(path)
        if fd is None:
            continue
        with existing.open_map(fd, name=name) as old:
            if roles.role(name) is Role.STATE and old.spec.type != MapType.ARRAY:
                _copy_state(old, tables.map(name))
            found.setdefault(name, []).append(_contents(old, tables))
    return {
        name: (np.concatenate([k for k, _ in parts]), np.concatenate([v for _, v in parts]))
        for name, parts in found.items()
    }


def _contents(old: Map, tables: Tables) -> Contents:
    new = tables.map(old.name)
    if old.spec.type == MapType.RINGBUF:
        record = tables.dtype(roles.RECORDS[old.name])
        left = ring.remaining(fd=old.fd, name=old.name, size=old.spec.max_entries)
        return np.empty(0, "<u4"), convert.from_bytes(left, record)
    if old.spec.type not in COUNTABLE:
        return np.empty(0, new.spec.key), np.empty(0, new.value_dtype)
    keys, values = old.dump()
    value = new.value_dtype.base if new.spec.per_cpu else new.value_dtype
    return convert.convert(keys, new.spec.key), convert.convert(values, value)


def _copy_state(old: Map, new: Map) -> None:
    keys, values = old.dump()
    if not len(keys):
        return
    keys, values = convert.convert(keys, new.spec.key), convert.convert(values, new.value_dtype)
    try:
        # Every element of an array exists from the start.
        new.insert(keys, values, exist="any" if new.spec.type == MapType.ARRAY else "new")
    except errors.MapFull:  # made smaller: the programs count what does not fit
        return
