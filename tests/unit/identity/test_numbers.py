# SPDX-License-Identifier: Apache-2.0
"""Label sets have one number each, on every node and after every restart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undermesh import identity
from undermesh.identity import Identities
from undermesh.store import Database, KeyStore


@pytest.fixture
def keys(tmp_path):
    with Database.open(tmp_path) as database:
        yield KeyStore(database)


def test_equal_label_sets_share_a_number_and_others_do_not(keys):
    identities = Identities(keys)
    first = identities.number({"a": "1", "b": "2"})
    assert first == identity.FIRST
    assert identities.number({"b": "2", "a": "1"}) == first
    assert identities.number({"a": "1"}) == first + 1
    assert identities.labels(first) == {"a": "1", "b": "2"}
    assert identities.labels(99999) is None


def test_numbers_are_the_same_after_a_restart_and_on_another_node(keys):
    first = Identities(keys).number({"a": "1"})
    other = Identities(keys)
    assert other.number({"a": "1"}) == first
    assert other.number({"a": "2"}) == first + 1
    assert Identities(keys).number({"a": "2"}) == first + 1


def test_a_released_number_is_free_and_nobody_keeps_it_in_memory(keys):
    identities = Identities(keys)
    first, second = identities.number({"a": "1"}), identities.number({"a": "2"})
    identities.release([first, 12345])
    assert identities.labels(first) is None
    assert len(identities) == 1
    assert identities.number({"a": "1"}) == second + 1
    assert len(keys.range("/identities/")) == 2


def test_numbers_wrap_around_and_skip_those_in_use(keys):
    identities = Identities(keys)
    first = identities.number({"a": "1"})
    keys.put("/identity-next", b"%d" % identity.CLUSTER_MAX)
    assert identities.number({"a": "2"}) == identity.CLUSTER_MAX
    assert identities.number({"a": "3"}) == first + 1


def test_a_number_claimed_by_a_node_that_died_is_never_given_twice(keys):
    keys.put(f"/identities/{identity.FIRST}", b'{"a":"lost"}')
    assert Identities(keys).number({"a": "1"}) == identity.FIRST + 1


def test_two_nodes_that_meet_the_same_labels_at_once_agree(keys):
    class Racing:
        """The other node is quicker between our claim and our entry."""

        def __init__(self):
            self.raced = False

        get = staticmethod(keys.get)
        range = staticmethod(keys.range)

        def compare_and_swap(self, key, *, expected, value):
            if key.startswith("/identity-of/") and not self.raced:
                self.raced = True
                Identities(keys).number({"a": "1"})
            return keys.compare_and_swap(key, expected=expected, value=value)

    ours = Identities(Racing()).number({"a": "1"})
    assert ours == Identities(keys).number({"a": "1"})
    assert len(keys.range("/identities/")) == 1


def test_when_every_number_is_taken_it_says_so():
    class Full:
        def get(self, key):
            return None

        def range(self, prefix):
            return ()

        def compare_and_swap(self, key, *, expected, value):
            return type("Swap", (), {"done": False, "current": None})()

    with pytest.raises(identity.IdentitiesExhausted, match="released"):
        Identities(Full()).number({"a": "1"})


def test_a_label_set_longer_than_a_key_has_its_own_number(keys):
    identities = Identities(keys)
    labels = {f"label-{n}": "x" * 60 for n in range(60)}
    first, second = identities.number(labels), identities.number({**labels, "label-59": "y"})
    assert first != second
    assert Identities(keys).number(labels) == first


@pytest.mark.parametrize(
    ("number", "scope"),
    [(0, "reserved"), (255, "reserved"), (256, "cluster"), (2**24 - 1, "cluster"), (2**24, "node")],
)
def test_how_far_a_number_reaches(number, scope):
    assert identity.scope_of(number) == scope


@pytest.mark.parametrize("number", [-1, 2**32])
def test_what_is_no_identity_is_refused(number):
    with pytest.raises(ValueError, match="not an identity"):
        identity.scope_of(number)


@given(st.dictionaries(st.text(), st.text()))
def test_the_canonical_text_is_the_label_set(labels):
    assert identity.parse_canonical(identity.canonical(labels)) == labels
    assert identity.canonical(dict(reversed(labels.items()))) == identity.canonical(labels)
