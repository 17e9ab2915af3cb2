# SPDX-License-Identifier: Apache-2.0
"""Services in the kernel's tables: read whole, written in bulk.

Slots, backends and loads are arrays that are written through memory: a hundred thousand rows take
milliseconds. Services are a hash map that is written in batches, each entry replaced whole. Who
keeps the order (backends, then slots no service refers to, then services, then what nobody refers
to any more) never leaves a connect() without an answer.

Rows go in by name of their columns, as bpf/abi/service.h has them; what a row does not have is 0.
"""

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from undermesh.kernel import convert, errors
from undermesh.kernel.maps import Map

SERVICES, SLOTS, BACKENDS, LOADS = "um_services", "um_slots", "um_backends", "um_loads"
USABLE = 1
"""UM_BACKEND_USABLE."""

_STEP = 4096

CUT = 2
"""UM_BACKEND_CUT."""

Rows: TypeAlias = NDArray[np.void]
Numbers: TypeAlias = NDArray[np.uint32] | Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """What the kernel holds. `services` is a copy, keys and values in one row; the other three are
    views of the kernel's own memory, indexed by number, and go on changing."""

    services: Rows
    slots: Rows
    backends: Rows
    loads: Rows


class Steering:
    """The tables of one plane. Not safe to write from several threads at once."""

    def __init__(self, maps: Mapping[str, Map]) -> None:
        """Maps the arrays of a plane's `maps`. Raises NotInObject, CallRefused."""
        self._services = _of(maps, SERVICES)
        self._mapped: list[mmap.mmap] = []
        self._slots = self._map(_of(maps, SLOTS))
        self._backends = self._map(_of(maps, BACKENDS))
        self._loads = self._map(_of(maps, LOADS))
        used = np.flatnonzero(self._backends["service"])
        self._high = _rounded(int(used[-1]) + 1 if len(used) else 1, len(self._loads))
        key, value = self._services.spec.key, self._services.spec.value
        self._row = np.dtype([*_columns(key), *_columns(value)])

    def actual(self) -> Held:
        """Everything, as it is now."""
        keys, values = self._services.dump()
        services = np.zeros(len(keys), self._row)
        for part in (keys, values):
            for name in set(part.dtype.names or ()) & set(self._row.names or ()):
                services[name] = part[name]
        return Held(
            services=services, slots=self._slots, backends=self._backends, loads=self._loads
        )

    def loads(self) -> Rows:
        """A copy of um_load of every number that was ever given, and some behind it: the memory
        of those that never were stays untouched."""
        return self._loads[: self._high].copy()

    def put_services(self, rows: Rows) -> int:
        """Writes entries, key and value columns in one row; returns how many. Raises MapFull."""
        spec = self._services.spec
        values = convert.convert(rows, spec.value)
        return self._services.insert(convert.convert(rows, spec.key), values)

    def delete_services(self, rows: Rows) -> int:
        """Removes the entries with the keys of these rows; returns how many there were."""
        return self._services.delete(convert.convert(rows, self._services.spec.key))

    def put_backends(self, numbers: Numbers, rows: Rows) -> None:
        """Writes rows of numbers nobody refers to, or the same rows with other flags."""
        at = _within(numbers, self._backends, "backends", first=1)
        self._backends[at] = convert.convert(rows, self._backends.dtype)
        if len(numbers):
            self._high = max(self._high, _rounded(int(max(numbers)) + 1, len(self._loads)))

    def set_usable(self, numbers: Numbers, usable: bool) -> None:
        """In force for the next connect(): one byte a backend, nothing else is touched."""
        flags = self._backends["flags"]
        at = _within(numbers, self._backends, "backends", first=1)
        flags[at] = flags[at] | USABLE if usable else flags[at] & ~np.uint8(USABLE)

    def mark_cut(self, numbers: Numbers, cut: bool) -> None:
        """Whose sockets `cutting.cut` resets."""
        flags = self._backends["flags"]
        at = _within(numbers, self._backends, "backends", first=1)
        flags[at] = flags[at] | CUT if cut else flags[at] & ~np.uint8(CUT)

    def put_slots(self, at: Numbers | int, rows: Rows) -> None:
        """Writes slots no service refers to: `rows` one after the other from `at` on, or each to
        its own place in `at`."""
        numbers = range(at, at + len(rows)) if isinstance(at, int) else at
        places = _within(numbers, self._slots, "slots", first=0)
        self._slots[places] = convert.convert(rows, self._slots.dtype)

    def forget_backends(self, numbers: Numbers) -> None:
        """Zeroes what is known of backends, then who they were."""
        self.zero_loads(numbers)
        at = _within(numbers, self._backends, "backends", first=1)
        self._backends[at] = np.zeros((), self._backends.dtype)

    def zero_loads(self, numbers: Numbers) -> None:
        """Before a number is used again: what was counted for who had it before."""
        at = _within(numbers, self._loads, "loads", first=1)
        self._loads[at] = np.zeros((), self._loads.dtype)

    def close(self) -> None:
        """Lets go of the memory, as soon as nobody looks at what `actual` gave."""
        empty = np.empty(0, "u1")
        self._slots = self._backends = self._loads = empty
        for mapped in self._mapped:
            try:
                mapped.close()
            except BufferError:  # somebody still does: it goes with them
                continue
        self._mapped.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _map(self, owned: Map) -> Rows:
        """The elements of a BPF_F_MMAPABLE array (5.5) as they lie in the kernel's memory."""
        # An element takes its size rounded up to 8 bytes (kernel/bpf/arraymap.c).
        element = owned.spec.value
        if element.itemsize % 8:
            raise errors.LayoutMismatch(
                f"mapping {owned.name}",
                answer=f"its values of {element.itemsize} bytes do not lie one after the other",
            )
        size = element.itemsize * owned.spec.max_entries
        try:
            mapped = mmap.mmap(owned.fd, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)
        except OSError as error:
            raise errors.refused(f"mapping {owned.name}", error.errno or 0) from error
        self._mapped.append(mapped)
        return np.frombuffer(mapped, element, owned.spec.max_entries)


def _rounded(number: int, most: int) -> int:
    """Up to whole steps, so that readings that follow each other are mostly of one length."""
    return min(most, -(-number // _STEP) * _STEP)


def _of(maps: Mapping[str, Map], name: str) -> Map:
    if name not in maps:
        raise errors.NotInObject(f"looking up map {name}", answer="no loaded program has it")
    return maps[name]


def _columns(struct: np.dtype) -> list[tuple[str, np.dtype]]:
    """Its fields, in order, without padding."""
    named = [(name, struct[name]) for name in struct.names or ()]
    return [(name, kind) for name, kind in named if not name.startswith("pad")]


def _within(numbers: Numbers, array: Rows, what: str, *, first: int) -> NDArray[np.int64]:
    """`numbers` when all of them are in the array; numpy would take -1 for the last one."""
    at = np.asarray(numbers, np.int64)
    if at.size and (int(at.min()) < first or int(at.max()) >= len(array)):
        raise errors.OurFault(
            f"writing {at.size} {what}",
            answer=f"numbers go from {first} to {len(array) - 1}, "
            f"asked for {int(at.min())} to {int(at.max())}",
        )
    return at
