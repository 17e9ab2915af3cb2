# SPDX-License-Identifier: Apache-2.0
"""apply, diff, delete, get: everything or nothing, and every error at once."""

import threading

import pytest

from tests.unit.app.desired import Dialect, objects_of, opened, text
from undermesh.app.desired_ports import Write
from undermesh.app.outcomes import Invalid, Moved, NotStored, Wanted
from undermesh.testing.desired import MemoryStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    with opened(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def dialect():
    return Dialect()


@pytest.fixture
def objects(store, dialect):
    return objects_of(store, dialect)


def apply(objects, *lines, **how):
    return objects.apply([text(*lines)], at_ns=1_000, **how)


def verbs(result):
    return {one.key.name: str(one.verb) for one in result.outcomes}


def names(objects):
    return [key.name for key in (one.key for one in objects.state.objects())]


def named(name, namespace="shop"):
    return Wanted(kinds=("Service",), namespace=namespace, name=name)


def test_what_becomes_of_each_object_is_told(objects):
    assert verbs(apply(objects, "cart 80", "pay 81")) == {"cart": "created", "pay": "created"}
    told = verbs(apply(objects, "cart 80", "pay 82", "web 90"))
    assert told == {"cart": "unchanged", "pay": "configured", "web": "created"}
    assert names(objects) == ["cart", "pay", "web"]


def test_applying_again_changes_nothing(objects):
    first = apply(objects, "cart", "pay 81")
    again = apply(objects, "cart", "pay 81")
    assert set(verbs(again).values()) == {"unchanged"}
    assert again.revision == first.revision == objects.state.changed


def test_every_error_is_told_and_nothing_is_stored(objects):
    with pytest.raises(Invalid) as no:
        apply(objects, "cart 80", "!no such field", "pay 81", "?odd", "!no such kind", "cart 99")
    said = [(one.line, one.message) for one in no.value.diagnostics]
    assert (
        said
        == [
            (2, "no such field"),
            (3, "port 80 is cart's"),
            (4, "odd"),
            (5, "no such kind"),
            (6, "Service/shop/cart is given twice"),
        ]
        or (6, "Service/shop/cart is given twice") in said
    )
    assert {"no such field", "no such kind"} <= {message for _, message in said}
    assert objects.state.changed == 0
    assert names(objects) == []


def test_checks_are_made_against_what_is_stored(objects):
    apply(objects, "cart 80")
    with pytest.raises(Invalid, match="1 error;"):
        objects.apply([text("pay 80", name="pay.txt")], at_ns=1)
    assert names(objects) == ["cart"]
    assert objects.apply([text("pay 81", name="pay.txt")], at_ns=1).outcomes


def test_what_is_wrong_with_others_already_is_no_reason_to_refuse(store, dialect):
    apply(objects_of(store), "cart 80")
    dialect.forbidden.add(80)
    objects = objects_of(store, dialect)
    objects.apply([text("pay 81", name="pay.txt")], at_ns=1)
    with pytest.raises(Invalid) as no:
        apply(objects, "cart 80")
    assert "forbidden" in no.value.diagnostics[0].message


def test_warnings_are_told_and_keep_nothing(objects):
    result = apply(objects, "cart", "?selects nothing")
    assert [one.message for one in result.warnings] == ["selects nothing"]
    assert names(objects) == ["cart"]


def test_a_dry_run_stores_nothing(objects):
    result = apply(objects, "cart", dry_run=True)
    assert verbs(result) == {"cart": "created"}
    assert objects.state.changed == 0


def test_a_comparison_has_both_documents(objects):
    apply(objects, "cart 80")
    (one, other) = apply(objects, "cart 81", "pay 90", dry_run=True).outcomes
    assert (one.before, one.after) == ('{"name":"cart","port":80}', '{"name":"cart","port":81}')
    assert (other.before, other.after) == (None, '{"name":"pay","port":90}')


def test_who_expects_another_revision_is_refused(objects):
    first = apply(objects, "cart 80")
    apply(objects, "cart 81", expected=first.revision)
    with pytest.raises(Moved) as no:
        apply(objects, "cart 82", expected=first.revision)
    assert no.value.revision == objects.state.changed


def test_what_came_in_between_is_checked_too(dialect):
    store = MemoryStore()
    ours, theirs = objects_of(store, dialect), objects_of(store)
    store.before_commit.append(lambda: apply(theirs, "pay 81"))
    with pytest.raises(Invalid, match="1 error"):
        apply(ours, "cart 81")
    assert names(ours) == ["pay"]
    store.before_commit.append(lambda: apply(theirs, "web 82"))
    assert verbs(apply(ours, "cart 80")) == {"cart": "created"}
    assert names(ours) == ["cart", "pay", "web"]


def test_one_who_is_always_overtaken_is_told(dialect):
    class Busy(MemoryStore):
        def commit(self, writes):
            super().commit([Write(key="/desired", value=b"")])
            return super().commit(writes)

    with pytest.raises(Moved, match="try again"):
        apply(objects_of(Busy(), dialect), "cart 1")


def test_of_many_who_apply_at_once_none_is_lost(objects):
    def put(start):
        for n in range(start, start + 10):
            objects.apply([text(f"s{n} {n}", name=f"{n}.txt")], at_ns=1)

    threads = [threading.Thread(target=put, args=(start,)) for start in (100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(objects)) == 30


def test_deleting_by_name_and_by_manifest(objects):
    apply(objects, "cart 80", "pay 81", "web 82")
    result = objects.delete([named("cart")], [text("pay 1")])
    assert verbs(result) == {"cart": "deleted", "pay": "deleted"}
    assert names(objects) == ["web"]
    assert result.revision == objects.state.changed


def test_one_that_is_not_there_keeps_all(objects):
    apply(objects, "cart 80")
    with pytest.raises(NotStored, match="Service/shop/nope"):
        objects.delete([named("cart"), named("nope")])
    with pytest.raises(NotStored, match="there is Service/shop/cart"):
        objects.delete([named("cart", namespace="default")])
    assert names(objects) == ["cart"]
    gone = objects.delete([named("cart"), named("nope")], ignore_not_found=True)
    assert verbs(gone) == {"cart": "deleted"}


def test_a_deletion_can_be_tried(objects):
    apply(objects, "cart 80")
    assert verbs(objects.delete([named("cart")], dry_run=True)) == {"cart": "deleted"}
    assert names(objects) == ["cart"]


def test_what_is_stored_is_got_by_kind_namespace_and_name(objects):
    apply(objects, "cart 80", "pay 81")
    everything, revision = objects.get(Wanted())
    assert [one.key.name for one in everything] == ["cart", "pay"]
    assert (everything[0].origin, everything[0].created_ns) == ("shop.txt:1", 1_000)
    assert revision >= objects.state.changed
    assert len(objects.get(named("pay"))[0]) == 1
    assert objects.get(Wanted(kinds=("Workload",)))[0] == ()
    assert objects.get(Wanted(namespace="other"))[0] == ()


def test_when_it_was_created_stays(objects):
    objects.apply([text("cart 80")], at_ns=5)
    objects.apply([text("cart 81")], at_ns=9)
    ((one,), _) = objects.get(named("cart"))
    assert (one.created_ns, one.changed_ns) == (5, 9)


def test_one_that_no_store_takes_is_an_error(objects, monkeypatch):
    monkeypatch.setattr("undermesh.app.outcomes.VALUE_LIMIT", 40)
    with pytest.raises(Invalid) as no:
        apply(objects, "cart 80")
    assert "EndpointSlices" in no.value.diagnostics[0].allowed
