# SPDX-License-Identifier: Apache-2.0
"""Counters of what is gone are counted exactly once, whenever the agent dies."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undermesh.store import Database, Field, Ledger

FIELDS = (Field("requests"), Field("last_ns", rule="max"), Field("bins", 4))


@pytest.fixture
def database(tmp_path):
    with Database.open(tmp_path / "state") as opened:
        yield opened


def row(*words):
    return np.array([words], dtype=np.int64)


def totals(ledger, table):
    return {
        key: values.tolist()
        for keys, rows in ledger.totals(table)
        for key, values in zip(keys, rows, strict=True)
    }


def test_a_committed_fold_is_in_the_totals_and_no_longer_pending(database):
    ledger = Ledger(database)
    table = ledger.table("series", FIELDS)
    fold = ledger.begin(table, slots=[b"k1"], keys=[b"web"], values=row(3, 50, 1, 0, 2, 0))
    assert totals(ledger, table) == {}
    ledger.commit(fold)
    assert totals(ledger, table) == {b"web": [3, 50, 1, 0, 2, 0]}
    assert ledger.pending() == ()


def test_rows_of_one_name_are_added_by_each_fields_rule(database):
    ledger = Ledger(database)
    table = ledger.table("series", FIELDS)
    values = np.concatenate([row(3, 50, 1, 0, 2, 0), row(4, 40, 1, 1, 1, 1)])
    ledger.commit(ledger.begin(table, slots=[b"k1", b"k2"], keys=[b"web", b"web"], values=values))
    ledger.commit(ledger.begin(table, slots=[b"k1"], keys=[b"web"], values=row(1, 60, 0, 0, 1, 0)))
    assert totals(ledger, table) == {b"web": [8, 60, 2, 1, 4, 1]}


def test_committing_twice_counts_once(database):
    ledger = Ledger(database)
    table = ledger.table("series", FIELDS)
    fold = ledger.begin(table, slots=[b"k"], keys=[b"web"], values=row(3, 0, 0, 0, 0, 0))
    ledger.commit(fold)
    ledger.commit(fold)
    assert totals(ledger, table)[b"web"][0] == 3


def test_values_read_at_deletion_win_over_those_written_down(database):
    ledger = Ledger(database)
    table = ledger.table("series", FIELDS)
    fold = ledger.begin(table, slots=[b"k"], keys=[b"web"], values=row(3, 0, 0, 0, 0, 0))
    ledger.commit(fold, values=row(5, 0, 0, 0, 0, 0))
    assert totals(ledger, table)[b"web"][0] == 5


def test_a_row_that_is_not_kept_is_not_counted(database):
    ledger = Ledger(database)
    table = ledger.table("series", FIELDS)
    values = np.concatenate([row(3, 0, 0, 0, 0, 0), row(4, 0, 0, 0, 0, 0)])
    fold = ledger.begin(table, slots=[b"1", b"2"], keys=[b"a", b"b"], values=values)
    ledger.commit(fold, keep=np.array([True, False]))
    assert totals(ledger, table) == {b"a": [3, 0, 0, 0, 0, 0]}
    assert ledger.pending() == ()


def test_pending_folds_survive_the_agent_in_order(tmp_path):
    with Database.open(tmp_path) as first:
        ledger = Ledger(first)
        table = ledger.table("series", FIELDS)
        ledger.begin(table, slots=[b"k1"], keys=[b"web"], values=row(3, 9, 0, 0, 0, 1))
        ledger.begin(table, slots=[b"k2"], keys=[b"db"], values=row(4, 9, 0, 0, 0, 1))
    with Database.open(tmp_path) as second:
        ledger = Ledger(second)
        table = ledger.table("series", FIELDS)
        pending = ledger.pending()
        assert [(p.slots, p.keys, p.values.tolist()) for p in pending] == [
            ((b"k1",), (b"web",), [[3, 9, 0, 0, 0, 1]]),
            ((b"k2",), (b"db",), [[4, 9, 0, 0, 0, 1]]),
        ]
        assert ledger.settle() == 2
        assert ledger.pending() == ()
        assert totals(ledger, table)[b"db"][0] == 4


def test_a_slot_that_stands_lower_was_made_anew(database):
    table = Ledger(database).table("series", FIELDS)
    recorded = np.concatenate([row(3, 50, 1, 0, 2, 0)] * 3)
    held = np.concatenate([row(3, 50, 1, 0, 2, 0), row(9, 40, 1, 0, 2, 6), row(4, 60, 0, 0, 4, 0)])
    assert table.continues(recorded, held).tolist() == [True, True, False]


def test_rows_written_before_a_field_was_appended_are_read_by_name(tmp_path):
    with Database.open(tmp_path) as old:
        ledger = Ledger(old)
        table = ledger.table("edge", [Field("opened"), Field("bins", 2), Field("dropped")])
        ledger.commit(ledger.begin(table, slots=[b"k"], keys=[b"a"], values=row(1, 2, 3, 4)))
        ledger.begin(table, slots=[b"k"], keys=[b"a"], values=row(10, 20, 30, 40))
    with Database.open(tmp_path) as new:
        ledger = Ledger(new)
        table = ledger.table("edge", [Field("bins", 3), Field("opened"), Field("resets")])
        assert ledger.pending()[0].values.tolist() == [[20, 30, 0, 10, 0]]
        ledger.settle()
        assert totals(ledger, table) == {b"a": [22, 33, 0, 11, 0]}


def test_going_back_a_version_and_forth_again_loses_nothing(tmp_path):
    new_fields = [Field("opened"), Field("resets"), Field("bins", 3)]
    old_fields = [Field("opened"), Field("bins", 2)]
    for fields, values in (
        (new_fields, row(1, 5, 1, 1, 1)),
        (old_fields, row(1, 2, 2)),
        (new_fields, row(1, 5, 1, 1, 1)),
    ):
        with Database.open(tmp_path) as database:
            ledger = Ledger(database)
            table = ledger.table("edge", fields)
            ledger.commit(ledger.begin(table, slots=[b"k"], keys=[b"a"], values=values))
    with Database.open(tmp_path) as database:
        ledger = Ledger(database)
        table = ledger.table("edge", new_fields)
        assert totals(ledger, table) == {b"a": [3, 10, 4, 4, 2]}


def test_merging_keeps_the_sum_and_frees_the_names(database):
    ledger = Ledger(database)
    table = ledger.table("edge", [Field("opened")])
    keys = [b"w%d" % n for n in range(5)]
    values = np.arange(5, dtype=np.int64)[:, None]
    ledger.commit(ledger.begin(table, slots=keys, keys=keys, values=values))
    ledger.merge(table, sources=[*keys[:4], b"never"], into=b"gone")
    assert totals(ledger, table) == {b"gone": [6], b"w4": [4]}
    ledger.merge(table, sources=[b"gone", b"w4"], into=b"gone")
    assert totals(ledger, table) == {b"gone": [10]}
    assert ledger.count(table) == 1
    assert ledger.get(table, b"gone").tolist() == [10]
    assert ledger.get(table, b"w4") is None


def test_reset_starts_counting_anew(database):
    ledger = Ledger(database)
    table = ledger.table("edge", [Field("opened")])
    before = ledger.since
    ledger.commit(ledger.begin(table, slots=[b"k"], keys=[b"a"], values=row(1)))
    ledger.begin(table, slots=[b"k"], keys=[b"a"], values=row(1))
    ledger.reset()
    assert ledger.count(table) == 0
    assert ledger.pending() == ()
    assert ledger.since >= before > 0


def test_the_beginning_of_counting_survives_a_restart(tmp_path):
    with Database.open(tmp_path) as first:
        since = Ledger(first).since
    with Database.open(tmp_path) as second:
        assert Ledger(second).since == since


def test_totals_are_read_in_batches_each_row_once(database):
    ledger = Ledger(database)
    table = ledger.table("edge", [Field("opened")])
    keys = [b"%04d" % n for n in range(1000)]
    values = np.ones((1000, 1), dtype=np.int64)
    ledger.commit(ledger.begin(table, slots=keys, keys=keys, values=values))
    batches = list(ledger.totals(table, batch=300))
    assert [len(batch) for batch, _ in batches] == [300, 300, 300, 100]
    assert [key for batch, _ in batches for key in batch] == keys


def test_values_of_the_wrong_shape_are_refused(database):
    ledger = Ledger(database)
    table = ledger.table("edge", [Field("opened")])
    with pytest.raises(ValueError, match="shape"):
        ledger.begin(table, slots=[b"k"], keys=[b"a"], values=row(1, 2))
    with pytest.raises(ValueError, match="empty"):
        ledger.begin(table, slots=[b"k"], keys=[b""], values=row(1))


def test_a_killed_agent_leaves_what_it_committed_and_what_it_had_begun(tmp_path):
    program = """
        import sys, numpy as np
        from pathlib import Path
        from undermesh.store import Database, Field, Ledger
        ledger = Ledger(Database.open(Path(sys.argv[1])))
        table = ledger.table("edge", [Field("opened")])
        for n in range(1, 100000):
            fold = ledger.begin(table, slots=[b"k%d" % n], keys=[b"a"],
                                values=np.array([[1]], dtype=np.int64))
            print(f"{n} begun", flush=True)
            ledger.commit(fold)
            print(f"{n} done", flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as child:
        for line in child.stdout:
            if line.startswith("200 begun"):
                break
        child.send_signal(signal.SIGKILL)
        said = [line.split() for line in child.stdout if line.endswith("\n")]
    begun = max([200, *(int(n) for n, what in said if what == "begun")])
    with Database.open(tmp_path) as database:
        ledger = Ledger(database)
        table = ledger.table("edge", [Field("opened")])
        counted = ledger.get(table, b"a").tolist()[0]
        pending = ledger.pending()
        assert len(pending) <= 1
        # One more may have been begun than it lived to tell.
        assert counted + len(pending) in (begun, begun + 1)


@settings(max_examples=25, deadline=None)
@given(
    slots=st.lists(st.integers(1, 10**12), min_size=1, max_size=8),
    deleted=st.lists(st.booleans(), min_size=8, max_size=8),
    late=st.lists(st.integers(0, 50), min_size=8, max_size=8),
    dies=st.sampled_from(["before delete", "after delete", "never"]),
)
def test_whenever_it_dies_every_count_is_counted_once(tmp_path_factory, slots, deleted, late, dies):
    """The kernel is a dict here; `late` is counted by a slot between begin and its deletion."""
    kernel = dict(enumerate(slots))
    directory = tmp_path_factory.mktemp("ledger")
    with Database.open(directory) as first:
        ledger = Ledger(first)
        table = ledger.table("edge", [Field("opened")])
        numbers = sorted(kernel)
        fold = ledger.begin(
            table,
            slots=[b"%d" % n for n in numbers],
            keys=[b"a"] * len(numbers),
            values=np.array([[kernel[n]] for n in numbers], dtype=np.int64),
        )
        expected = sum(kernel.values())
        for n in numbers:
            if dies == "never" or (dies == "after delete" and deleted[n]):
                del kernel[n]
            else:
                kernel[n] += late[n]
                expected += late[n]
        if dies == "never":
            ledger.commit(fold)
    with Database.open(directory) as second:
        ledger = Ledger(second)
        table = ledger.table("edge", [Field("opened")])
        for pending in ledger.pending():
            values = pending.values.copy()
            for place, slot in enumerate(pending.slots):
                if int(slot) in kernel:
                    values[place] = kernel.pop(int(slot))
            ledger.commit(pending.fold, values=values)
        assert ledger.get(table, b"a").tolist() == [expected]
        assert kernel == {}
