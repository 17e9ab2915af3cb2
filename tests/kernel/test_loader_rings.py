# SPDX-License-Identifier: Apache-2.0
"""Ring readers and iterators, fed by a program that writes what it is told."""

import numpy as np
import pytest

from undermesh.kernel import errors, iterators, ring, testrun
from undermesh.kernel.objects import Configuration, Opened

SIZE = 4096


@pytest.fixture
def sample(objects):
    with Opened.read(objects / "sample.bpf.o").configure(Configuration()).load() as loaded:
        yield loaded


def emit(sample, count: int, *, odd: int = 0, discard: int = 0) -> int:
    """Has the program write `count` records; returns how many of them are to be read."""
    order = np.array([count, odd, discard, 0], "<u4").tobytes()
    run = testrun.run_program(sample.programs["emit"], context=order)
    return int(np.frombuffer(run.context, "<u4")[3])


@pytest.fixture(params=["mapped", "called"])
def reader(request, sample):
    fd, record = sample.maps["ring"].fd, sample.btf.struct("record")
    if request.param == "mapped":
        made = ring.MappedRing(fd=fd, name="ring", size=SIZE, record=record)
    else:
        made = ring.CalledRing(fd=fd, name="ring", record=record)
    yield made
    made.close()


def test_records_come_out_in_order_with_their_fields(sample, reader):
    assert len(reader.drain()) == 0
    assert emit(sample, 50) == 50
    records = reader.drain()
    assert list(records["sequence"]) == list(range(50))
    assert (records["tail"] == 1).all()
    assert len(reader.drain()) == 0


def test_the_limit_is_kept_and_the_rest_waits(sample, reader):
    emit(sample, 50)
    assert list(reader.drain(limit=20)["sequence"]) == list(range(20))
    assert len(reader.drain(limit=0)) == 0
    assert list(reader.drain(limit=20)["sequence"]) == list(range(20, 40))
    assert len(reader.drain()) == 10


def test_many_times_around_the_ring_nothing_is_lost(sample, reader):
    for count in range(1, 100):
        assert emit(sample, count) == count
        assert list(reader.drain()["sequence"]) == list(range(count))


def test_discarded_and_strange_records_are_stepped_over(sample, reader):
    for _ in range(30):
        wanted = emit(sample, 50, odd=3, discard=5)
        records = reader.drain()
        assert len(records) == wanted == 50 - 3 - 3
        assert not set(records["sequence"] % 16) & {3, 5}
    assert reader.unknown == 30 * 3


def test_a_full_ring_keeps_what_it_has(sample, reader):
    fitting = SIZE // 32 - 1
    assert emit(sample, 200) <= SIZE // 32
    records = reader.drain()
    assert fitting <= len(records) <= SIZE // 32
    assert list(records["sequence"]) == list(range(len(records)))
    assert emit(sample, 5) == 5
    assert len(reader.drain()) == 5


def test_the_rest_of_an_abandoned_ring_is_read_whatever_its_records_are(sample):
    written = emit(sample, 40, odd=3, discard=5)
    records = ring.remaining(fd=sample.maps["ring"].fd, name="ring", size=SIZE)
    assert sorted({len(record) for record in records}) == [8, 24]
    assert sum(len(record) == 24 for record in records) == written
    assert ring.remaining(fd=sample.maps["ring"].fd, name="ring", size=SIZE) == records


def test_an_iterator_over_a_map_gives_a_record_per_element(objects):
    configuration = Configuration(sizes={"entries": 20_000})
    with Opened.read(objects / "sample.bpf.o").configure(configuration).load() as sample:
        entries = sample.maps["entries"]
        keys = np.zeros(10_000, entries.spec.key)
        keys["id"] = np.arange(10_000)
        values = np.zeros(10_000, entries.spec.value)
        values["hits"] = keys["id"] * 3
        entries.insert(keys, values)
        program = sample.programs["list"]
        link = iterators.attach(program_fd=program.fd, name="list", map_fd=entries.fd)
        record = sample.btf.struct("record")
        # 240 kB: several reads, most of which end inside a record.
        for _ in range(2):
            records = iterators.records(link_fd=link, name="list", record=record)
            assert sorted(records["cpu"]) == list(range(10_000))
            assert (records["sequence"] == records["cpu"] * 3).all()
        with pytest.raises(errors.LayoutMismatch, match="no multiple"):
            iterators.records(link_fd=link, name="list", record=np.dtype("V7"))
