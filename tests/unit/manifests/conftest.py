# SPDX-License-Identifier: Apache-2.0
"""Reading one text, the way every test here does."""

from textwrap import dedent

import pytest

from undermesh import manifests


@pytest.fixture
def read():
    """read(text) → Read of one file called f.yaml."""

    def read_text(text, name="f.yaml"):
        return manifests.read([manifests.Source(name, dedent(text).lstrip("\n"))])

    return read_text


@pytest.fixture
def specs(read):
    """specs(text) → what its only object means; nothing is wrong with it."""

    def specs_of(text, name="f.yaml"):
        found = read(text, name)
        assert not found.diagnostics, [str(one) for one in found.diagnostics]
        assert len(found.objects) == 1
        return found.objects[0].specs

    return specs_of


@pytest.fixture
def said(read):
    """said(text) → the diagnostics of a text, as users see them."""

    def said_of(text, name="f.yaml"):
        return [str(one) for one in read(text, name).diagnostics]

    return said_of


@pytest.fixture
def checked(read):
    """checked(text) → what is wrong between objects that are each right."""

    def checked_of(text):
        found = read(text)
        assert not found.errors, [str(one) for one in found.errors]
        return manifests.check(found.objects)

    return checked_of
