# SPDX-License-Identifier: Apache-2.0
"""Typed maps, on the kernel's own."""

import threading

import numpy as np
import pytest

from undermesh.kernel import errors, libbpf
from undermesh.kernel.maps import Map
from undermesh.kernel.objects import Configuration, Opened


@pytest.fixture
def maps(objects):
    configuration = Configuration(sizes={"entries": 5000})
    with Opened.read(objects / "sample.bpf.o").configure(configuration).load() as loaded:
        yield loaded.maps


def some(entries: Map, count: int, *, start: int = 0):
    keys = np.zeros(count, entries.spec.key)
    keys["id"] = np.arange(start, start + count)
    keys["name"] = b"entry"
    values = np.zeros(count, entries.spec.value)
    values["hits"] = keys["id"] * 10
    values["inners"]["negative"] = -7
    return keys, values


def test_what_is_inserted_is_read_back_with_nested_fields(maps):
    keys, values = some(maps["entries"], 1000)
    assert maps["entries"].insert(keys, values) == 1000
    read_keys, read_values = maps["entries"].dump()
    assert len(read_keys) == 1000
    assert set(read_keys["id"]) == set(range(1000))
    assert (read_values["hits"] == read_keys["id"] * 10).all()
    assert (read_values["inners"]["negative"] == -7).all()
    assert read_keys["name"][0] == b"entry"


def test_new_leaves_existing_entries_and_old_leaves_absent_ones(maps):
    entries = maps["entries"]
    keys, values = some(entries, 10)
    entries.insert(keys[::2], values[::2])
    values["hits"] = 1
    assert entries.insert(keys, values, exist="new") == 5
    assert entries.lookup(keys[0])["hits"] == 0
    assert entries.lookup(keys[1])["hits"] == 1
    more_keys, more_values = some(entries, 10, start=5)
    assert entries.insert(more_keys, more_values, exist="old") == 5
    assert entries.entries() == 10


def test_a_full_map_says_how_many_went_in(maps):
    keys, values = some(maps["entries"], 5001)
    with pytest.raises(errors.MapFull, match="holds its 5000 entries already") as caught:
        maps["entries"].insert(keys, values)
    assert caught.value.taken == maps["entries"].entries() == 5000


def test_deleting_counts_what_was_there(maps):
    keys, values = some(maps["entries"], 20)
    maps["entries"].insert(keys[:7], values[:7])
    assert maps["entries"].delete(keys) == 7
    assert maps["entries"].delete(keys) == 0
    assert maps["entries"].lookup(keys[0]) is None


def test_an_empty_map_dumps_nothing_of_the_right_type(maps):
    keys, values = maps["entries"].dump()
    assert (len(keys), keys.dtype) == (0, maps["entries"].spec.key)
    assert (len(values), values.dtype) == (0, maps["entries"].spec.value)


def test_a_walk_comes_in_chunks_and_sees_every_entry_once(maps):
    entries = maps["entries"]
    entries.insert(*some(entries, 5000))
    small = Map(fd=entries.fd, spec=entries.spec)
    small._chunk = 1  # smaller than most buckets: the kernel answers ENOSPC until it is not
    seen = np.concatenate([keys["id"] for keys, _ in small.walk()])
    assert sorted(seen) == list(range(5000))


def test_a_walk_survives_entries_coming_and_going(maps):
    entries = maps["entries"]
    stay_keys, stay_values = some(entries, 1000)
    entries.insert(stay_keys, stay_values)
    churn = some(entries, 1000, start=10_000)
    done = threading.Event()

    def come_and_go():
        while not done.is_set():
            entries.insert(*churn)
            entries.delete(churn[0])

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(50):
            seen = np.concatenate([keys["id"] for keys, _ in entries.walk()])
            assert len(set(seen)) == len(seen)
            assert set(range(1000)) <= set(seen)
    finally:
        done.set()
        thread.join()


def test_without_batches_single_calls_do_the_same(maps):
    entries = maps["entries"]
    entries._batch = False
    keys, values = some(entries, 30)
    assert entries.insert(keys, values) == 30
    assert entries.insert(keys, values, exist="new") == 0
    assert sorted(entries.dump()[0]["id"]) == list(range(30))
    assert entries.delete(keys[:10]) == 10
    assert entries.entries() == 20


def test_per_cpu_values_have_a_row_per_possible_cpu(maps):
    per_cpu = maps["per_cpu"]
    cpus = libbpf.possible_cpus()
    per_cpu.insert(1, np.arange(cpus).reshape(1, cpus).astype(per_cpu.value_dtype.base))
    keys, values = per_cpu.dump()
    assert list(keys) == [0, 1]
    assert values.shape == (2, cpus)
    assert list(values["value"][1]) == list(range(cpus))
    assert list(per_cpu.lookup(1)["value"]) == list(range(cpus))


def test_arrays_and_tries_are_read_too(maps):
    maps["numbers"].insert([2, 5], [20, 50])
    assert list(maps["numbers"].dump()[1]) == [0, 0, 20, 0, 0, 50, 0, 0]
    prefix = int.from_bytes(b"\x08\x00\x00\x00\x0a\x00\x00\x00", "little")  # 10.0.0.0/8
    maps["prefixes"].insert(prefix, 4)
    keys, values = maps["prefixes"].dump()
    assert (list(keys), list(values)) == ([prefix], [4])


def test_fill_and_memory_are_told(maps):
    empty = maps["entries"].info()
    maps["entries"].insert(*some(maps["entries"], 1000))
    info = maps["entries"].info()
    assert (info.type, info.entries, info.max_entries) == ("hash", 1000, 5000)
    assert info.bytes > empty.bytes > 0
    assert maps["sockets"].info().entries is None
    assert maps["ring"].info().bytes >= 4096
