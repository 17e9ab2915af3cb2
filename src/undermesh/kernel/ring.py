# SPDX-License-Identifier: Apache-2.0
"""Ring buffer readers that hand over whole batches of fixed-size records as numpy arrays.

`open_ring` chooses between two: `MappedRing` maps the ring and decodes it with a few array
operations per batch (10 million records a second and more), where a plain store by the reader is a
release, which x86 guarantees. Elsewhere `CalledRing` has libbpf walk the ring, with its barriers.

Record format (kernel/bpf/ringbuf.c): a 32-bit length whose upper two bits say "still being written"
and "discarded", 32 bits of the kernel's own, then the record, then padding to 8 bytes. Producer and
consumer positions only grow; the data area is mapped twice in a row, so that no record wraps.
"""

import mmap
import platform
from typing import Any, Protocol

import numpy as np

from undermesh.kernel import errors, libbpf
from undermesh.kernel.libbpf import ffi, lib

BUSY = 1 << 31
DISCARD = 1 << 30
LENGTH = DISCARD - 1
HEADER = 8


class Ring(Protocol):
    """A ring of records of one dtype, read by one reader."""

    name: str
    unknown: int
    """Records of another size that were stepped over."""

    def drain(self, *, limit: int = 65536) -> np.ndarray:
        """Up to `limit` records, oldest first; fewer when the ring is empty."""

    def pending(self) -> int:
        """Bytes that wait to be read."""

    def close(self) -> None:
        """Gives the mapping back."""


def open_ring(*, fd: int, name: str, size: int, record: np.dtype) -> Ring:
    """A reader of the ring buffer map `fd` of `size` bytes. Raises CallRefused."""
    if platform.machine() in ("x86_64", "AMD64"):
        return MappedRing(fd=fd, name=name, size=size, record=record)
    return CalledRing(fd=fd, name=name, record=record)


class MappedRing:
    """Reads the ring's memory directly."""

    def __init__(self, *, fd: int, name: str, size: int, record: np.dtype) -> None:
        self.name = name
        self.unknown = 0
        self._record = record
        self._size = size
        self._stride = _stride(record.itemsize)
        page = mmap.PAGESIZE
        try:
            self._consumer_map = mmap.mmap(fd, page, mmap.MAP_SHARED, offset=0)
            self._producer_map = mmap.mmap(
                fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page
            )
        except OSError as error:
            raise errors.refused(f"mapping ring {name}", error.errno or 0) from error
        self._consumer = np.frombuffer(self._consumer_map, "<u8", 1)
        self._producer = np.frombuffer(self._producer_map, "<u8", 1)
        self._data = np.frombuffer(self._producer_map, "u1", 2 * size, offset=page)
        self._slot = np.dtype(
            {
                "names": ["length", "record"],
                "formats": ["<u4", record],
                "offsets": [0, HEADER],
                "itemsize": self._stride,
            }
        )

    def drain(self, *, limit: int = 65536) -> np.ndarray:
        """Up to `limit` records, oldest first. Discarded and unknown ones count towards it."""
        batches: list[np.ndarray] = []
        position, end = int(self._consumer[0]), int(self._producer[0])
        while limit > 0 and position < end:
            slots, lengths = self._slots(position, end, limit)
            taken = _uniform(lengths, self._record.itemsize)
            if taken:
                records = slots["record"][:taken]
                kept = (lengths[:taken] & DISCARD) == 0
                batches.append(records.copy() if kept.all() else records[kept])
                position += taken * self._stride
                limit -= taken
            else:
                start = position % self._size
                length = int(self._data[start : start + 4].view("<u4")[0])
                if length & BUSY:
                    break
                # Of another size: counted and stepped over.
                self.unknown += not length & DISCARD
                position += _stride(length & LENGTH)
                limit -= 1
            # Publishing the position frees the space: only after the copy above.
            self._consumer[0] = position
        if len(batches) == 1:
            return batches[0]
        return np.concatenate(batches) if batches else np.empty(0, self._record)

    def unread(self) -> list[bytes]:
        """Every complete record that waits, whatever its length; they go on waiting."""
        found: list[bytes] = []
        position, end = int(self._consumer[0]), int(self._producer[0])
        while position < end:
            start = position % self._size
            length = int(self._data[start : start + 4].view("<u4")[0])
            if length & BUSY:
                break
            if not length & DISCARD:
                found.append(self._data[start + HEADER : start + HEADER + length].tobytes())
            position += _stride(length & LENGTH)
        return found

    def pending(self) -> int:
        """Bytes between the two positions, records still being written included."""
        return int(self._producer[0]) - int(self._consumer[0])

    def close(self) -> None:
        """Unmaps. Arrays already handed out are copies and stay valid."""
        del self._consumer, self._producer, self._data
        self._consumer_map.close()
        self._producer_map.close()

    def _slots(self, position: int, end: int, limit: int) -> tuple[np.ndarray, np.ndarray]:
        """The ring from `position` as if all records were ours, and a copy of their lengths.

        Whatever follows the first record of another size is misread here and never used.
        """
        offset = position % self._size
        count = min((end - position) // self._stride, limit)
        slots = self._data[offset : offset + count * self._stride].view(self._slot)
        return slots, slots["length"].copy()


class CalledRing:
    """Has libbpf read the ring and copies each record as it is called with it."""

    def __init__(self, *, fd: int, name: str, record: np.dtype) -> None:
        self.name = name
        self.unknown = 0
        self._record = record
        self._taken: list[bytes] = []
        self._limit = 0

        def sample(_context: Any, data: Any, size: int) -> int:
            if size == record.itemsize:
                self._taken.append(bytes(ffi.buffer(data, size)))
            else:
                self.unknown += 1
            self._limit -= 1
            return -1 if self._limit <= 0 else 0  # negative: this record is consumed, then stop

        self._callback = ffi.callback("int(void *, void *, size_t)", sample)
        self._ring = lib().ring_buffer__new(fd, self._callback, libbpf.NULL, libbpf.NULL)
        if self._ring == libbpf.NULL:
            raise errors.refused(f"mapping ring {name}", int(ffi.errno))

    def drain(self, *, limit: int = 65536) -> np.ndarray:
        """Up to `limit` records, oldest first."""
        if limit > 0:
            self._limit = limit
            lib().ring_buffer__consume(self._ring)
        taken, self._taken = self._taken, []
        return np.frombuffer(b"".join(taken), self._record)

    def pending(self) -> int:
        """Not known on this path; 0."""
        return 0

    def close(self) -> None:
        """Unmaps."""
        if self._ring != libbpf.NULL:
            lib().ring_buffer__free(self._ring)
            self._ring = libbpf.NULL


def remaining(*, fd: int, name: str, size: int) -> list[bytes]:
    """Every unread record, of any length, of a ring nobody writes to any more; leaves them there.

    Raises CallRefused.
    """
    everything = MappedRing(fd=fd, name=name, size=size, record=np.dtype("V8"))
    try:
        return everything.unread()
    finally:
        everything.close()


def _stride(length: int) -> int:
    return HEADER + (length + 7 & ~7)


def _uniform(lengths: np.ndarray, wanted: int) -> int:
    """How many records from the start are complete and of the wanted length."""
    other = (lengths & ~np.uint32(DISCARD)) != wanted
    return int(np.argmax(other)) if other.any() else len(lengths)
