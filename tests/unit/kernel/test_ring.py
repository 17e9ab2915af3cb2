# SPDX-License-Identifier: Apache-2.0
"""The ring format, on a file in memory that looks like one to the reader."""

import mmap
import os
import struct
from collections.abc import Iterator

import numpy as np
import pytest

from undermesh.kernel.ring import BUSY, DISCARD, MappedRing

SIZE = 256
RECORD = np.dtype([("a", "<u4"), ("b", "<u4"), ("c", "<u4")])
STRIDE = 8 + 16  # header, 12 bytes padded to 16


class Fake:
    """A consumer page, a producer page, and the data twice in a row."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * mmap.PAGESIZE + 2 * SIZE)
        self.memory = mmap.mmap(self.fd, 0)
        self.produced = 0

    def write(self, payload: bytes, *, flags: int = 0) -> None:
        raw = struct.pack("<II", len(payload) | flags, 0) + payload
        raw += bytes(-len(raw) % 8)
        for i, byte in enumerate(raw):
            at = (self.produced + i) % SIZE
            for copy in (0, SIZE):
                self.memory[2 * mmap.PAGESIZE + copy + at] = byte
        self.produced += len(raw)
        struct.pack_into("<Q", self.memory, mmap.PAGESIZE, self.produced)

    def record(self, a: int, *, flags: int = 0) -> None:
        self.write(struct.pack("<III", a, 2 * a, 3 * a), flags=flags)

    @property
    def consumed(self) -> int:
        return struct.unpack_from("<Q", self.memory, 0)[0]


@pytest.fixture
def fake() -> Iterator[Fake]:
    made = Fake()
    yield made
    made.memory.close()
    os.close(made.fd)


@pytest.fixture
def reader(fake) -> Iterator[MappedRing]:
    made = MappedRing(fd=fake.fd, name="fake", size=SIZE, record=RECORD)
    yield made
    made.close()


def test_a_record_still_being_written_stops_the_reader_until_it_is_done(fake, reader):
    fake.record(1)
    fake.record(2, flags=BUSY)
    fake.record(3)
    assert reader.drain()["a"].tolist() == [1]
    assert fake.consumed == STRIDE
    assert reader.drain().tolist() == []
    struct.pack_into("<I", fake.memory, 2 * mmap.PAGESIZE + STRIDE, 12)
    assert reader.drain()["a"].tolist() == [2, 3]
    assert reader.pending() == 0


def test_records_across_the_end_of_the_ring_are_whole(fake, reader):
    for a in range(200):
        fake.record(a)
        assert reader.drain().tolist() == [(a, 2 * a, 3 * a)]


def test_discarded_records_are_left_out(fake, reader):
    fake.record(1)
    fake.record(2, flags=DISCARD)
    fake.record(3)
    assert reader.drain()["a"].tolist() == [1, 3]
    assert reader.unknown == 0


@pytest.mark.parametrize("size", [0, 1, 8, 11, 13, 40])
def test_records_of_another_size_are_counted_and_stepped_over(fake, reader, size):
    fake.record(1)
    fake.write(b"\xff" * size)
    fake.record(2)
    fake.write(b"\xff" * size, flags=DISCARD)
    fake.record(3)
    assert reader.drain()["a"].tolist() == [1, 2, 3]
    assert reader.unknown == 1
    assert reader.pending() == 0


def test_what_was_handed_out_outlives_the_ring(fake):
    reader = MappedRing(fd=fake.fd, name="fake", size=SIZE, record=RECORD)
    fake.record(7)
    records = reader.drain()
    reader.close()
    assert records["c"].tolist() == [21]
