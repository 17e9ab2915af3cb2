# SPDX-License-Identifier: Apache-2.0
"""Hostile texts: deep, endless, huge, and whatever chance writes."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undermesh import manifests
from undermesh.manifests.explaining import faults
from undermesh.manifests.reading import KINDS


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "- " * 100_000,
        '{"a":' * 100_000,
        "? " * 100_000,
        "{a: " * 100_000,
        "\n".join("  " * n + "a:" for n in range(2000)),
    ],
)
def test_depth_has_an_end(read, text):
    (found,) = read(text).errors
    assert "nested" in found.message or "not YAML" in found.message


def test_aliases_that_stand_for_billions_are_refused_at_once(read):
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for n in range(1, 12):
        text += f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n"
    begun = time.monotonic()
    (found,) = read(text).errors
    assert "aliases written out" in found.message
    assert time.monotonic() - begun < 20


def test_an_alias_within_itself_is_refused(read):
    assert read("a: &a [*a]\n").errors


@pytest.mark.parametrize(
    "text",
    [
        "<<: {a: 1}\n",
        "a: !!binary aGVsbG8=\n",
        "a: !python/object:os.system x\n",
        "[1]: 2\n",
        "a: \x00\n",
        "a: \ud800\n",
        "a: [\n",
        "%YAML 3.0\n---\na\n",
        "*x\n",
        '{"apiVersion": "v1", "kind": "\\ud800"}',
        '{"apiVersion": "v1", "kind": NaN}',
    ],
)
def test_what_json_cannot_say_is_an_error(read, text):
    assert read(text).errors
    assert not read(text).objects


def test_more_errors_than_anybody_reads_end_with_how_many(read):
    found = read("apiVersion: v1\nkind: Nothing\n---\n" * 1500)
    assert len(found.diagnostics) == 1001
    assert found.diagnostics[-1].message == "and 500 more, which are not shown"


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=300))
def test_no_text_raises(text):
    manifests.read([manifests.Source("f", text)])


WORDS = """apiVersion kind metadata spec v1 Service ports port name - : { } [ ] , & * ! # | > ' "
undermesh.io/v1alpha1 endpoints address 10.0.0.1 80 null true --- service services checks http check
EndpointSlice discovery.k8s.io/v1 addressType IPv4 addresses &a *a << List items"""


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from([*WORDS.split(), "\n", "\n\n", "\t"]), max_size=60))
def test_no_text_of_our_own_words_raises(words):
    found = manifests.read([manifests.Source("f", " ".join(words))])
    manifests.check(found.objects)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = """name namespace labels annotations ports port targetPort protocol selector endpoints
address addresses conditions ready weight splits check ejection http tcp grpc interval timeout drain
clusterIP clusterIPs type externalName sessionAffinity subsets ip match unit level services tags
meta weights passing id checks kind"""
NAMED = st.sampled_from(FIELDS.split())
LIKELY = st.recursive(
    JSON | st.sampled_from(["10.0.0.1", "10s", "None", "TCP", 80, "a", "ClientIP", "maglev"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMED, inner, max_size=5),
    max_leaves=20,
)
HEADS = st.sampled_from(
    [
        ("v1", "Service"),
        ("v1", "Endpoints"),
        ("discovery.k8s.io/v1", "EndpointSlice"),
        ("undermesh.io/v1alpha1", "Service"),
        ("undermesh.io/v1alpha1", "Workload"),
        ("undermesh.io/v1alpha1", "Priority"),
    ]
)


@settings(deadline=None, max_examples=400)
@given(HEADS, LIKELY, LIKELY, LIKELY)
def test_no_document_raises_and_none_is_read_that_has_faults(head, metadata, spec, other):
    api, kind = head
    meta = metadata if not isinstance(metadata, dict) else {"name": "a", **metadata}
    document = {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec}
    document |= {"subsets": other, "endpoints": other, "addressType": "IPv4"}
    texts = [json.dumps(document), json.dumps({"service": spec}), json.dumps({"services": [other]})]
    found = manifests.read([manifests.Source("f", text) for text in texts])
    manifests.check(found.objects)
    for one in found.objects:
        value = json.loads(one.document)
        kind = KINDS.get((value.get("apiVersion"), value.get("kind")))
        nothing = list(faults(value, kind.wire)) if kind else []
        assert not nothing, "what is read is what would be found right"


def test_ten_thousand_services_and_slices_are_read_in_seconds():
    service = """\
apiVersion: v1
kind: Service
metadata: {{name: s{i}, namespace: shop}}
spec: {{selector: {{app: s{i}}}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: s{i}-a, labels: {{kubernetes.io/service-name: s{i}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints:
"""
    endpoint = "- addresses: [10.{a}.{b}.{c}]\n  conditions: {{ready: true}}\n  nodeName: n\n"
    text = "---\n".join(
        service.format(i=i) + "".join(endpoint.format(a=i >> 8, b=i & 255, c=c) for c in range(10))
        for i in range(2000)
    )
    begun = time.monotonic()
    found = manifests.read([manifests.Source("f", text)])
    assert (len(found.objects), found.diagnostics) == (4000, ())
    # A fifth of the whole; ten times what it takes on an idle machine.
    assert time.monotonic() - begun < 6
