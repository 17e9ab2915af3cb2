# SPDX-License-Identifier: Apache-2.0
"""Texts: several documents, JSON, YAML 1.2, and everything wrong at once, where it stands."""

import json

import pytest

from undermesh import manifests
from undermesh.manifests import yaml12

OWN = """
apiVersion: undermesh.io/v1alpha1
kind: Service
metadata: {name: cart}
spec:
"""


def test_every_document_of_a_file_is_an_object_with_its_line(read):
    found = read("""
        # two of them
        apiVersion: v1
        kind: Service
        metadata: {name: a}
        spec: {ports: [{port: 80}]}
        ---
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: b, namespace: shop}
        spec: {ports: [{port: 80}]}
        """)
    assert [(str(one.key), one.origin) for one in found.objects] == [
        ("Service/default/a", "f.yaml:2"),
        ("Service/shop/b", "f.yaml:8"),
    ]


def test_everything_wrong_is_said_at_once_and_where(said):
    found = said("""
        apiVersion: undermesh.io/v1alpha1
        kind: Service
        metadata:
          name: cart
          namespce: shop
        spec:
          ports:
            - port: eighty
            - name: admin
          slector: {app: cart}
          balancing: maglv
          drain: 10
        """)
    begins = """
f.yaml:5:3: metadata.namespce: unknown field, did you mean namespace?; fields here: name, namespace
f.yaml:8:13: spec.ports[0].port: "eighty" is not a whole number; a whole number from 1 to 65535
f.yaml:9:7: spec.ports[1].port: is missing; a whole number from 1 to 65535
f.yaml:10:3: spec.slector: unknown field, did you mean selector?; fields here: ports, selector
f.yaml:11:14: spec.balancing: "maglv" is not known, did you mean maglev?; one of random, maglev
f.yaml:12:10: spec.drain: 10 is not text; a duration such as 500ms, 10s or 1m30s, at most 365d
"""
    assert len(found) == 6
    for line, begin in zip(found, begins.strip().splitlines(), strict=True):
        assert line.startswith(begin)


def test_one_bad_document_does_not_hide_what_is_wrong_with_the_next(read):
    found = read("""
        apiVersion: v1
        kind: Service
        metadata: {name: a}
        spec: {ports: [{port: 0}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: b}
        spec: {ports: [{port: 80, protcol: TCP}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: c}
        spec: {ports: [{port: 80}]}
        """)
    assert [one.field for one in found.errors] == ["spec.ports[0].port", "spec.ports[0].protcol"]
    assert [one.key.name for one in found.objects] == ["c"]


def test_what_is_wrong_between_fields_is_said_beside_what_is_wrong_with_one(said):
    found = said("""
        apiVersion: undermesh.io/v1alpha1
        kind: Service
        metadata: {name: cart}
        spec:
          ports: [{name: a, port: 80}, {name: a, port: 81}]
          drian: 10s
        """)
    assert [line.split(": ")[1] for line in found] == ["spec.ports[1].name", "spec.drian"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Servise", "Servise (v1) is not understood, did you mean Service?"),
        ("Pod", "Pod (v1) is not understood"),
    ],
)
def test_a_kind_that_is_not_understood_is_named_with_the_nearest(read, kind, said):
    found = read(f"apiVersion: v1\nkind: {kind}\n").errors
    assert [(one.line, one.field, one.message) for one in found] == [(2, "kind", said)]
    assert "EndpointSlice (discovery.k8s.io/v1)" in found[0].allowed


def test_a_kind_of_another_version_names_those_that_are_read(read):
    (found,) = read("apiVersion: serving.knative.dev/v1\nkind: Service\n").errors
    assert (found.line, found.column, found.field) == (1, 13, "apiVersion")
    assert found.message == "Service of serving.knative.dev/v1 is not understood"
    assert found.allowed == "Service of v1 or undermesh.io/v1alpha1"


@pytest.mark.parametrize("api", ["v1", "undermesh.io/v1alpha1"])
@pytest.mark.parametrize("meta", ["name: a b", "name: a, namespace: A", "name: 'a\n'", "nme: a"])
def test_names_and_namespaces_are_names(read, api, meta):
    text = f"apiVersion: {api}\nkind: Service\nmetadata: {{{meta}}}\nspec: {{ports: [{{port: 1}}]}}"
    found = read(text)
    assert not found.objects
    assert all(one.field.startswith("metadata.n") for one in found.errors)


def test_a_list_holds_objects_with_places_of_their_own(read):
    found = read("""
        apiVersion: v1
        kind: List
        items:
          - apiVersion: v1
            kind: Service
            metadata: {name: a}
            spec: {ports: [{port: 80}]}
          - apiVersion: v1
            kind: Service
            metadata: {name: b}
            spec: {ports: [{port: 99999}]}
        """)
    assert [one.origin for one in found.objects] == ["f.yaml:4"]
    assert [(one.line, one.field) for one in found.errors] == [(11, "items[1].spec.ports[0].port")]


def test_items_of_a_list_of_one_kind_need_not_say_theirs(read):
    found = read("""
        apiVersion: v1
        kind: ServiceList
        items: [{metadata: {name: a}, spec: {ports: [{port: 80}]}}]
        """)
    assert [str(one.key) for one in found.objects] == ["Service/default/a"]


def test_json_is_read_and_its_errors_have_places(read):
    text = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "a"},
            "spec": {"ports": [{"port": "x"}]},
        },
        indent=2,
    )
    assert [(one.line, one.field) for one in read(text).errors] == [(10, "spec.ports[0].port")]


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "a: 1\na: 2\n", '"a": 1\na: 2\n'])
def test_a_name_given_twice_is_an_error(said, text):
    (line,) = said(text)
    assert '"a" is given twice, first in line 1' in line


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("Yes", "Yes"),
        ("22:22", "22:22"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("0777", 777),
        ("0o777", 511),
        ("0xff", 255),
        ("-3", -3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("10.0.0.1", "10.0.0.1"),
        ("true", True),
        ("~", None),
        ("", None),
        (".inf", ".inf"),
        ("9" * 30, "9" * 30),
    ],
)
def test_plain_scalars_mean_what_yaml_1_2_says(text, value):
    found = yaml12.plain(text)
    assert found == value
    assert type(found) is type(value)


def test_what_looks_like_a_boolean_of_yaml_1_1_stays_text(specs):
    (service,) = specs(OWN + "  ports: [{port: 80}]\n  selector: {on: no, at: 22:22}\n")
    assert service.selector == {"on": "no", "at": "22:22"}


def test_a_field_with_nothing_in_it_is_not_there(specs):
    (service,) = specs("""
        apiVersion: v1
        kind: Service
        metadata: {name: a, creationTimestamp: null, labels: }
        spec: {ports: [{port: 80, name: null}], selector: null, type: }
        """)
    assert service.selector == {}


def test_a_misspelt_field_with_nothing_in_it_is_still_misspelt(said):
    (line,) = said(OWN + "  ports: [{port: 80}]\n  slector:\n")
    assert "spec.slector: unknown field, did you mean selector?" in line


def test_the_document_is_kept_as_it_was_given_and_can_be_read_again(read):
    (first,) = read(OWN + "  ports: [{port: 80}]\n  drain: 5s\n").objects
    assert first.document == (
        '{"apiVersion":"undermesh.io/v1alpha1","kind":"Service","metadata":{"name":"cart"},'
        '"spec":{"drain":"5s","ports":[{"port":80}]}}'
    )
    (again,) = read(first.document).objects
    assert (again.key, again.document) == (first.key, first.document)
    assert again.specs[0].drain == first.specs[0].drain


def test_ordinary_aliases_and_tags_are_read(specs):
    (service,) = specs("""
        apiVersion: v1
        kind: Service
        metadata: {name: a, labels: &l {app: !!str 7}}
        spec: {selector: *l, ports: [{port: !!int "80"}]}
        """)
    assert service.selector == {"app": "7"}


def test_documents_that_name_no_namespace_are_of_the_one_that_is_given():
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: a%s}\nspec: {ports: [{port: 1}]}\n"
    sources = [
        manifests.Source("f", text % "", namespace="shop"),
        manifests.Source("f", text % ", namespace: b", namespace="shop"),
        manifests.Source("f", '{"service": {"name": "a", "port": 1}}', namespace="shop"),
    ]
    assert [str(one.key) for one in manifests.read(sources).objects] == [
        "Service/shop/a",
        "Service/b/a",
        "ConsulService/shop/a",
    ]


def test_what_a_store_gives_back_keeps_where_it_was_said(read):
    (one,) = read(OWN + "  ports: [{port: 80}]\n").objects
    (again,) = manifests.read([manifests.Source("k", one.document, origin="x.yaml:7")]).objects
    assert (again.origin, again.specs[0].origin, again.document) == (
        "x.yaml:7",
        "x.yaml:7",
        one.document,
    )


def test_empty_texts_hold_nothing(read):
    for text in ("", "---\n", "# nothing\n", "---\n---\n...\n"):
        assert read(text) == manifests.Read(objects=(), diagnostics=())
