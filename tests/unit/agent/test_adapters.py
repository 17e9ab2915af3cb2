# SPDX-License-Identifier: Apache-2.0
"""The real store behind the ports, as the fakes promise it."""

import numpy as np
import pytest

from undermesh import host, store
from undermesh.agent.adapters import Ledger, Notes, RunCgroups


@pytest.fixture
def database(tmp_path):
    with store.Database.open(tmp_path) as database:
        yield database


def row(*values, width):
    return np.array([[*values, *([0] * (width - len(values)))]], np.int64)


def test_a_fold_is_counted_once(database):
    ledger = Ledger(database, bins=4)
    fold = ledger.begin("series", slots=[b"k"], keys=[b"row"], values=row(5, width=10))
    (pending,) = ledger.pending()
    assert (pending.table, pending.slots, pending.keys) == ("series", (b"k",), (b"row",))
    ledger.commit(fold)
    assert ledger.pending() == []
    ((keys, values),) = ledger.totals("series")
    assert keys == (b"row",)
    assert values[0, 0] == 5


def test_the_last_time_of_a_drop_is_the_later_one(database):
    ledger = Ledger(database, bins=4)
    for packets, last in ((2, 900), (3, 100)):
        fold = ledger.begin(
            "drops", slots=[b"k"], keys=[b"d"], values=row(packets, 1, last, width=3)
        )
        ledger.commit(fold)
    ((_, values),) = ledger.totals("drops")
    assert values.tolist() == [[5, 2, 900]]


def test_notes_are_found_by_what_they_begin_with(database):
    notes = Notes(store.KeyStore(database))
    notes.put("/nodes/n1/names/1.2", b"a")
    notes.put("/nodes/n1/runs/3", b"b")
    assert notes.range("/nodes/n1/names/") == [("/nodes/n1/names/1.2", b"a")]
    notes.delete("/nodes/n1/names/1.2")
    assert notes.range("/nodes/n1/names/") == []


def test_refusals_of_the_host_are_what_the_use_cases_know(tmp_path):
    runs = RunCgroups(host.RunCgroups(base=tmp_path / "none", instance="t"))
    with pytest.raises(ValueError, match="cannot be used"):
        runs.create(namespace="default", name="NOT A NAME")
    with pytest.raises(ValueError, match="cannot be used"):
        runs.labels({"a b": "c"})
    made = runs.create(namespace="default", name="web")
    (made.path / "cgroup.procs").mkdir()
    with pytest.raises(OSError, match="moving process"):
        runs.place(made.path, 1)
