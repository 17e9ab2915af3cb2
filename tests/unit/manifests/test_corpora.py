# SPDX-License-Identifier: Apache-2.0
"""The examples, and what public projects publish."""

import re
from pathlib import Path

import pytest

from undermesh import manifests
from undermesh.manifests import annotations, behaviour, kubernetes, own, own_service
from undermesh.manifests.reading import KINDS

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "examples" / "steer").iterdir())
CORPORA = ROOT.parent / "shared" / "corpora"
FILES = sorted(CORPORA.rglob("*.y*ml")) if CORPORA.is_dir() else []


def source(path):
    return manifests.Source(path.name, path.read_text(errors="replace"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_read_without_a_word(path):
    found = manifests.read([source(path)])
    assert found.objects
    assert not found.diagnostics


def test_the_examples_go_together():
    found = manifests.read([source(path) for path in EXAMPLES])
    assert [str(one) for one in manifests.check(found.objects)] == []
    assert {one.key.kind for one in found.objects} == {
        "Service",
        "EndpointSlice",
        "Service.undermesh.io",
        "Workload",
        "Priority",
        "ConsulService",
    }


@pytest.mark.skipif(not FILES, reason="the corpora are not beside this tree")
def test_public_manifests_are_read_or_refused_with_the_place_of_each():
    read = 0
    for path in FILES:
        found = manifests.read([source(path)])
        read += len(found.objects)
        for one in found.errors:
            assert (one.file, one.line > 0, one.column > 0) == (path.name, True, True)
            known = one.field in ("kind", "apiVersion") or one.field.endswith((".kind", ""))
            assert known and one.message, str(one)
        kinds = [str(one.key.kind) for one in found.objects]
        assert all(kind in {name for _, name in KINDS} for kind in kinds)
    assert read > 20


PAGE = (ROOT / "docs" / "manifests.md").read_text()
BLOCKS = re.findall(r"```(?:yaml|json)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_what_the_documentation_shows_is_read(block):
    found = manifests.read([manifests.Source("docs/manifests.md", block)])
    assert (len(found.objects), found.diagnostics) == (1, ())


FIELDS = [
    own_service.ServiceFields,
    own_service.PortFields,
    own_service.EndpointFields,
    own.WorkloadFields,
    own.PriorityFields,
    behaviour.CheckFields,
    behaviour.EjectionFields,
    behaviour.HttpFields,
    kubernetes.ServiceFields,
    annotations.Annotations,
]


@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: f"{fields.__module__}")
def test_the_documentation_names_every_field(fields):
    missing = [name for name in fields.__struct_encode_fields__ if name not in PAGE]
    assert not missing
