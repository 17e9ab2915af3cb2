# SPDX-License-Identifier: Apache-2.0
"""What the loader knows by name agrees with the C sources."""

import re
from pathlib import Path

from undermesh.kernel import roles

BPF = Path(__file__).parents[3] / "bpf"
SOURCES = "\n".join(path.read_text() for path in BPF.rglob("*.[ch]") if "tests" not in path.parts)


def test_the_layout_version_is_that_of_the_header():
    text = (BPF / "abi" / "base.h").read_text()
    found = re.search(r"#define UM_LAYOUT_VERSION (\d+)", text)
    assert found is not None
    assert int(found[1]) == roles.LAYOUT_VERSION


def test_every_map_with_a_role_is_declared():
    declared = set(re.findall(r"\} (um_\w+) SEC\(\"\.maps\"\)", SOURCES))
    assert set(roles.ROLES) <= declared
    assert {roles.PHASE_MAP, roles.NUMBERS_MAP, roles.STATS_MAP} <= declared
    assert set(roles.SWEEPS.values()) <= declared
    assert len(max(declared, key=len)) <= 15, "the kernel cuts longer names"


def test_every_ring_has_a_record_and_every_record_a_struct():
    rings = re.findall(r"TYPE_RINGBUF[^}]*\} (um_\w+) SEC", SOURCES)
    assert set(rings) == set(roles.RECORDS)
    for struct in roles.RECORDS.values():
        assert f"struct {struct} {{" in SOURCES


def test_every_program_known_by_name_exists():
    programs = set(re.findall(r"^int (?:BPF_PROG\()?(\w+)", SOURCES, re.MULTILINE))
    assert programs >= roles.REQUIRED
    assert set(roles.SWEEPS) | {roles.BACKFILL} <= programs


def test_objects_are_named_after_their_sources():
    files = {path.name.removesuffix(".bpf.c") for path in (BPF / "programs").glob("*.bpf.c")}
    assert files == {*roles.OBJECTS, *roles.ASIDE}
    assert {*roles.FIRST, *roles.THEN} < files
