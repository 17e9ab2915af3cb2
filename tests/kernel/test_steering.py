# SPDX-License-Identifier: Apache-2.0
"""The tables of services from user space: what is written is there, quickly and nowhere else."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.kernel.conftest import cgroup2
from undermesh.kernel import errors, plane, steering
from undermesh.kernel.steering import Steering

MANY = 100_000


@pytest.fixture(scope="module")
def tables(bpf_dir: Path) -> Iterator[Steering]:
    """Of maps with nothing attached that reads them."""
    options = plane.Options(cgroup_root=cgroup2(), instance=f"test-{uuid.uuid4().hex[:10]}")
    prepared = plane.prepare(options)
    try:
        with Steering(prepared.tables.maps) as made:
            yield made
    finally:
        prepared.close()


def test_what_is_put_is_held(tables: Steering) -> None:
    held = tables.actual()
    row = np.zeros(2, held.services.dtype)
    row["address"][:, 15], row["port"], row["l4"], row["id"] = (1, 2), 80, 6, (7, 8)
    row["slots_at"], row["slots"], row["netns"] = 3, 4, 1 << 40
    assert tables.put_services(row) == 2
    found = tables.actual().services
    assert np.array_equal(np.sort(found, order="id"), row)
    row["slots"] = 9
    assert tables.put_services(row[:1]) == 1
    assert tables.delete_services(row[1:]) == 1
    assert np.array_equal(tables.actual().services, row[:1])
    assert tables.delete_services(row) == 1


def test_rows_go_in_by_name(tables: Steering) -> None:
    """Columns in another order, some missing, some of the caller's own."""
    rows = np.zeros(1, [("port", "<u2"), ("mine", "<u8"), ("service", "<u4")])
    rows["port"], rows["mine"], rows["service"] = 80, 1, 2
    tables.put_backends([5], rows)
    (row,) = tables.actual().backends[5:6]
    assert (row["port"], row["service"], row["flags"], row["netns"]) == (80, 2, 0, 0)
    tables.set_usable([5], True)
    tables.mark_cut([5], True)
    assert tables.actual().backends["flags"][5] == steering.USABLE | steering.CUT
    tables.mark_cut([5], False)
    tables.set_usable([5], False)
    assert tables.actual().backends["flags"][5] == 0
    tables.forget_backends([5])
    assert not tables.actual().backends[5:6].view("u1").any()


def test_loads_are_zeroed(tables: Steering) -> None:
    loads = tables.actual().loads
    loads["open"][3:6] = 9
    tables.zero_loads(np.array([4], "u4"))
    assert list(tables.loads()["open"][3:6]) == [9, 0, 9]
    tables.zero_loads([3, 5])


@pytest.mark.parametrize("numbers", [[0], [1 << 30], [-1]])
def test_numbers_out_of_range(tables: Steering, numbers: list[int]) -> None:
    """0 is nobody; nothing is written."""
    with pytest.raises(errors.OurFault, match="numbers go from 1 to"):
        tables.zero_loads(numbers)


def test_a_hundred_thousand_backends(tables: Steering) -> None:
    """Through memory: tens of milliseconds, with room to spare for a slow machine."""
    held = tables.actual()
    numbers = np.arange(1, MANY + 1, dtype="u4")
    backends = np.zeros(MANY, held.backends.dtype)
    backends["port"], backends["service"] = 80, numbers
    slots = np.zeros(MANY * 3, held.slots.dtype)
    slots["backend"] = slots["other"] = np.repeat(numbers, 3)
    begun = time.perf_counter()
    tables.put_backends(numbers, backends)
    tables.put_slots(0, slots)
    took = time.perf_counter() - begun
    assert np.array_equal(tables.actual().backends[1 : MANY + 1], backends)
    assert np.array_equal(tables.actual().slots[: len(slots)], slots)
    tables.forget_backends(numbers)
    assert took < 0.5


def test_a_hundred_thousand_services(tables: Steering) -> None:
    rows = np.zeros(MANY, tables.actual().services.dtype)
    rows["id"] = np.arange(MANY)
    rows["address"][:, 12:] = rows["id"][:, None].view("u1").reshape(MANY, 4)
    begun = time.perf_counter()
    assert tables.put_services(rows) == MANY
    written = time.perf_counter()
    assert len(tables.actual().services) == MANY
    read = time.perf_counter()
    assert tables.delete_services(rows) == MANY
    assert written - begun < 1.5
    assert read - written < 1.5
