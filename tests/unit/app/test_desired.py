# SPDX-License-Identifier: Apache-2.0
"""Stored objects are understood once, stay understood, and come back as they were said."""

import dataclasses
import json

import pytest

from tests.unit.app.desired import Dialect, objects_of, opened, text
from undermesh.app.desired import DesiredState, Touched
from undermesh.app.desired_ports import Compacted, Write
from undermesh.app.outcomes import Wanted
from undermesh.app.records import encoded, key_of, path_of
from undermesh.model.objects import ObjectKey
from undermesh.testing.desired import MemoryStore

SERVICE = ("Service",)


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    with opened(request.param, tmp_path) as store:
        yield store


def apply(objects, *lines):
    return objects.apply([text(*lines)], at_ns=1)


def cart():
    return Wanted(kinds=SERVICE, namespace="shop", name="cart")


def test_objects_are_the_same_tuple_until_something_changes(store):
    objects = objects_of(store)
    apply(objects, "cart 80")
    first, number = objects.state.objects(), objects.state.changed
    assert objects.state.objects() is first
    apply(objects, "pay 81")
    assert objects.state.changed > number
    assert [one.key.name for one in objects.state.objects()] == ["cart", "pay"]
    assert objects.state.objects()[0] is first[0]


def test_what_was_just_applied_is_not_read_again(store):
    dialect = Dialect()
    objects = objects_of(store, dialect)
    seen = []
    objects.state.follow(lambda: seen.append(len(objects.state.objects())))
    apply(objects, "cart 80", "pay 81")
    apply(objects, "cart 82")
    assert seen == [2, 2]
    assert (dialect.read_lines, dialect.read_back) == (3, 0)


def test_a_new_agent_reads_each_once_and_knows_where_it_was_said(store):
    apply(objects_of(store), "cart 80", "pay 81")
    dialect = Dialect()
    state = DesiredState(store, read=dialect.read)
    before = state.objects()
    assert [(one.origin, one.specs[0].origin) for one in before] == [
        ("shop.txt:1", "shop.txt:1"),
        ("shop.txt:2", "shop.txt:2"),
    ]
    assert dialect.read_back == 2
    apply(objects_of(store), "pay 82")
    assert state.objects()[1].document == '{"name":"pay","port":82}'
    assert state.objects()[0] is before[0]
    assert dialect.read_back == 3


def test_what_another_agent_removed_is_gone(store):
    ours, theirs = objects_of(store), objects_of(store)
    apply(ours, "cart 80", "pay 81")
    theirs.delete([cart()])
    assert [one.key.name for one in ours.state.objects()] == ["pay"]


def test_after_the_log_was_cut_all_is_read_anew():
    store = MemoryStore()
    ours, theirs = objects_of(store), objects_of(store)
    apply(ours, "cart 80", "pay 81")
    theirs.delete([cart()])
    apply(theirs, "web 82")
    store.compact()
    assert [one.key.name for one in ours.state.objects()] == ["pay", "web"]


def test_changes_are_told_as_objects(store):
    objects = objects_of(store)
    first = apply(objects, "cart 80", "pay 81").revision
    objects.delete([cart()])
    found, revision = objects.state.changes(after=first)
    assert [(str(key), stored) for key, stored, _ in found] == [("Service/shop/cart", None)]
    assert objects.state.changes(after=revision) == ([], revision)
    found, _ = objects.state.changes(after=0)
    assert {key.name for key, _, _ in found} == {"cart", "pay"}


def test_a_revision_that_is_not_known_is_said(store):
    with pytest.raises(Compacted):
        objects_of(store).state.changes(after=99)


def test_one_that_cannot_be_read_any_more_is_kept_and_told(store):
    objects = objects_of(store)
    apply(objects, "cart 80")
    value = json.dumps({"document": {"name": 1}, "origin": "old.yaml:3"}).encode()
    store.commit([Write(key="/desired", value=b""), Write(key="/desired/Service/a/b", value=value)])

    def picky(sources):
        good = [source for source in sources if '"cart"' in source.text]
        return Dialect().read(good)

    stored = DesiredState(store, read=picky).snapshot()
    assert [one.key.name for one in stored.objects] == ["cart"]
    odd = stored.stored[ObjectKey("Service", "a", "b")]
    assert (odd.object, odd.document, odd.origin) == (None, '{"name": 1}', "old.yaml:3")
    assert odd.problem


def test_long_documents_are_stored_compressed(store):
    dialect = Dialect()
    (one,) = dialect.read([text("cart 80")]).objects
    long = dataclasses.replace(one, document='{"name":"cart","port":80,"x":"%s"}' % ("y" * 300_000))
    value = encoded(long, created_ns=1, changed_ns=1)
    assert len(value) < 3000
    store.commit([Write(key="/desired", value=b""), Write(key=path_of(one.key), value=value)])
    (read,) = DesiredState(store, read=dialect.read).snapshot().stored.values()
    assert read.document == long.document


def test_keys_are_paths():
    key = ObjectKey("Service.undermesh.io", "shop", "cart")
    assert path_of(key) == "/desired/Service.undermesh.io/shop/cart"
    assert key_of(path_of(key)) == key
    assert key_of("/desired/odd") is None


def test_what_was_touched_is_told_by_service(store):
    ours, theirs = objects_of(store), objects_of(store)
    apply(ours, "cart 80", "pay 81")
    first = ours.state.changed
    assert ours.state.touched(since=first) == Touched(services=frozenset(), others=False)
    apply(theirs, "pay 82", "web 83")
    theirs.delete([cart()])
    touched = ours.state.touched(since=first)
    assert {str(name) for name in touched.services} == {"shop/cart", "shop/pay", "shop/web"}
    assert not touched.others
    second = ours.state.changed
    apply(ours, "web 84")
    assert {name.name for name in ours.state.touched(since=second).services} == {"web"}
    assert {name.name for name in ours.state.touched(since=first).services} > {"web", "cart"}
    assert ours.state.touched(since=second - 1) is None
    assert objects_of(store).state.touched(since=first) is None
