# SPDX-License-Identifier: Apache-2.0
"""Keys, revisions and compare-and-swap."""

import threading

import pytest

from undermesh.store import Database, KeyStore


@pytest.fixture
def keys(tmp_path):
    with Database.open(tmp_path) as database:
        yield KeyStore(database)


def test_what_is_put_is_got_with_the_revision_of_its_change(keys):
    assert keys.revision == 0
    assert keys.put("/a", b"1").revision == 1
    assert keys.put("/b", b"2").revision == 2
    assert keys.put("/a", b"3").revision == 3
    assert (keys.get("/a").value, keys.get("/b").revision, keys.revision) == (b"3", 2, 3)
    assert keys.get("/c") is None


def test_a_range_is_sorted_and_stays_within_its_prefix(keys):
    for key in ("/nodes/n1/b", "/nodes/n1/a", "/nodes/n10/x", "/nodes/n1/ä", "/other"):
        keys.put(key, b"")
    assert [entry.key for entry in keys.range("/nodes/n1/")] == [
        "/nodes/n1/a",
        "/nodes/n1/b",
        "/nodes/n1/ä",
    ]
    assert [entry.key for entry in keys.range("/", limit=1)] == ["/nodes/n1/a"]


def test_a_swap_is_done_only_at_the_expected_revision(keys):
    made = keys.compare_and_swap("/a", expected=0, value=b"1")
    assert made.done
    again = keys.compare_and_swap("/a", expected=0, value=b"2")
    assert not again.done
    assert again.current == made.current
    changed = keys.compare_and_swap("/a", expected=made.current.revision, value=b"2")
    assert changed.done
    assert keys.get("/a").value == b"2"


def test_swapping_for_nothing_removes_the_key(keys):
    made = keys.put("/a", b"1")
    assert keys.compare_and_swap("/a", expected=made.revision, value=None).done
    assert keys.get("/a") is None
    assert keys.revision == 2
    assert keys.compare_and_swap("/a", expected=0, value=None).done
    assert keys.revision == 2


def test_deleting_what_is_not_there_is_no_change(keys):
    keys.put("/a", b"1")
    assert keys.delete("/a")
    assert not keys.delete("/a")
    assert keys.revision == 2


@pytest.mark.parametrize(
    ("key", "value"), [("a", b""), ("/" + "x" * 2000, b""), ("/a", b"x" * 2**21)]
)
def test_what_another_store_could_not_hold_is_refused(keys, key, value):
    with pytest.raises(ValueError, match=r"key|value"):
        keys.put(key, value)


def test_of_many_who_swap_at_once_each_wins_in_turn(keys):
    def count(times):
        while times:
            current = keys.get("/n")
            value = int(current.value) + 1 if current else 1
            swap = keys.compare_and_swap(
                "/n", expected=current.revision if current else 0, value=b"%d" % value
            )
            times -= swap.done

    threads = [threading.Thread(target=count, args=(50,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keys.get("/n").value == b"200"
