# SPDX-License-Identifier: Apache-2.0
"""Transactions of many keys, and the log that those who follow read."""

import sqlite3
import time

import pytest

from undermesh.store import Compacted, Database, KeyStore, Write

D = "/desired/"


@pytest.fixture
def database(tmp_path):
    with Database.open(tmp_path) as database:
        yield database


@pytest.fixture
def keys(database):
    return KeyStore(database)


def put(key, value=b"1", expected=None):
    return Write(key=D + key, value=value, expected=expected)


def remove(key, expected=None):
    return Write(key=D + key, value=None, expected=expected)


def told(keys, after=0, prefix=D):
    found, _ = keys.changes(prefix, after=after)
    return [(one.key.removeprefix(D), one.value, one.revision) for one in found]


def test_a_transaction_has_one_revision(keys):
    done = keys.commit((put("a"), put("b"), put("c")))
    assert (done.done, done.changed, done.revision) == (True, 3, 1)
    assert {entry.revision for entry in keys.range(D)} == {1}


def test_one_key_that_stands_elsewhere_refuses_all(keys):
    keys.commit((put("a"), put("b")))
    keys.put(D + "b", b"2")
    refused = keys.commit((put("a", b"9", 1), put("b", b"9", 1), put("c", b"9", 0)))
    assert not refused.done
    assert {key: entry.revision for key, entry in refused.conflicts.items()} == {D + "b": 2}
    assert [entry.value for entry in keys.range(D)] == [b"1", b"2"]
    missing = keys.commit((put("d", b"9", 7),))
    assert missing.conflicts == {D + "d": None}


def test_removing_what_is_not_there_changes_nothing(keys):
    keys.commit((put("a"),))
    assert keys.commit((remove("x"), remove("y", 0))).changed == 0
    assert keys.revision == 1


def test_a_key_twice_is_refused(keys):
    with pytest.raises(ValueError, match="twice"):
        keys.commit((put("a"), remove("a")))


def test_changes_are_told_from_any_revision_on(keys):
    keys.commit((put("a"), put("b")))
    keys.commit((put("a", b"2"), remove("b")))
    assert told(keys) == [("a", b"2", 2), ("b", None, 2)]
    assert told(keys, after=1) == [("a", b"2", 2), ("b", None, 2)]
    assert told(keys, after=2) == []
    keys.commit((put("b", b"3"),))
    assert told(keys, after=2) == [("b", b"3", 3)]
    assert told(keys) == [("a", b"2", 2), ("b", b"3", 3)]


def test_only_what_users_asked_for_is_logged_and_by_its_prefix(keys):
    keys.put("/nodes/n1/names/1.2", b"x")
    keys.commit((put("Service/a"), put("Workload/a")))
    assert told(keys, prefix=D + "Service/") == [("Service/a", b"1", 2)]
    assert keys.changes("/nodes/", after=0) == ((), 2)


def test_the_log_is_cut_by_whole_revisions(database):
    keys = KeyStore(database, kept=100)
    for n in range(400):
        keys.commit(tuple(put(f"{n % 7}/{i}", b"%d" % n) for i in range(3)))
    lines = database.rows("SELECT revision, count(*) FROM changes GROUP BY revision")
    assert {count for _, count in lines} == {3}
    assert 100 <= 3 * len(lines) <= 128
    oldest = lines[0][0] - 1
    with pytest.raises(Compacted) as told_off:
        keys.changes(D, after=oldest - 1)
    assert (told_off.value.oldest, told_off.value.revision) == (oldest, 400)
    found, revision = keys.changes(D, after=oldest)
    assert revision == 400
    assert {one.key for one in found} == {entry.key for entry in keys.range(D)}


def test_a_transaction_longer_than_the_log_is_not_cut(database):
    keys = KeyStore(database, kept=10)
    keys.commit((put("before"),))
    keys.commit(tuple(put(str(n)) for n in range(50)))
    assert len(told(keys, after=1)) == 50
    with pytest.raises(Compacted):
        keys.changes(D, after=0)


def test_a_revision_yet_to_come_is_of_another_store(keys):
    with pytest.raises(Compacted, match="read everything"):
        keys.changes(D, after=1)


def test_those_who_follow_are_woken_by_what_is_logged(keys):
    woken = []
    leave = keys.follow(lambda: woken.append(keys.revision))
    keys.put("/nodes/n1/x", b"")
    keys.commit((put("a"),))
    keys.commit((put("a", b"2", 99),))
    assert woken == [2]
    leave()
    keys.commit((put("b"),))
    assert woken == [2]


def test_a_file_from_before_there_was_a_log_keeps_all(tmp_path):
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.executescript(
            "CREATE TABLE keys (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT "
            "NULL) WITHOUT ROWID; CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
            "INSERT INTO keys VALUES ('/desired/old', x'31', 4), ('/identities/256', x'32', 5);"
            "INSERT INTO facts VALUES ('revision', 5), ('since', 1.5); PRAGMA user_version=1;"
        )
    connection.close()
    for _ in range(2):
        with Database.open(tmp_path) as database:
            keys = KeyStore(database)
            assert [entry.key for entry in keys.range("/")] == ["/desired/old", "/identities/256"]
            assert database.rows("SELECT value FROM facts WHERE name = 'since'") == [(1.5,)]
            assert keys.revision == 5
            assert told(keys, after=5) == []
            with pytest.raises(Compacted):
                keys.changes(D, after=4)
    with Database.open(tmp_path) as database:
        keys = KeyStore(database)
        keys.commit((put("old", b"2", 4),))
        assert told(keys, after=5) == [("old", b"2", 6)]


def test_ten_thousand_keys_are_one_quick_transaction(keys):
    value = b"x" * 1000
    begun = time.perf_counter()
    keys.commit(tuple(put(f"Service/shop/s{n}", value, 0) for n in range(10_000)))
    again = tuple(put(f"Service/shop/s{n}", value, 1) for n in range(10_000))
    assert keys.commit(again).done
    assert len(told(keys, after=1)) == 10_000
    assert time.perf_counter() - begun < 5
