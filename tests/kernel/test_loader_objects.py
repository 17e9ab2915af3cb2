# SPDX-License-Identifier: Apache-2.0
"""Opened → Configured → Loaded → Attached, on the real verifier."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from undermesh.kernel import errors, links, programs, testrun
from undermesh.kernel.kinds import MapType
from undermesh.kernel.objects import Configuration, Opened

PACKET = bytes(12) + b"\x08\x00" + bytes(50)


def loaded(objects: Path, **choices):
    return Opened.read(objects / "sample.bpf.o").configure(Configuration(**choices)).load()


def test_an_opened_object_tells_its_maps_and_programs_without_touching_the_kernel(objects):
    with Opened.read(objects / "sample.bpf.o") as opened:
        entries = opened.maps["entries"]
        assert (entries.type, entries.max_entries) == (MapType.HASH, 64)
        assert entries.key.names == ("id", "name")
        assert opened.programs["exec"].tracepoint == "sched_process_exec"
        assert opened.programs["list"].iterator
        assert opened.programs["out"].cgroup


def test_constants_are_set_by_name_and_what_is_not_named_keeps_its_value(objects):
    settings = {"threshold": 42, "limits": (0, 0, 5, 0)}
    choices = {"settings": settings, "plain": np.uint32(9)}
    with loaded(objects, variables=choices) as with_all:
        assert testrun.run_program(with_all.programs["told"], data=PACKET).retval == 1
    del settings["threshold"]  # 7 in the source
    with loaded(objects, variables=choices) as with_some:
        assert testrun.run_program(with_some.programs["told"], data=PACKET).retval == 0


@pytest.mark.parametrize("wrong", [{"settingz": 1}, {"settings": {"limit": 1}}])
def test_a_constant_that_is_not_there_is_an_error_that_names_it(objects, wrong):
    with pytest.raises(errors.NotInObject, match=r"settingz|settings\.limit"):
        loaded(objects, variables=wrong)


def test_sizes_and_skipped_programs_are_honoured(objects):
    with loaded(objects, sizes={"entries": 1000}, skip=("told", "exec")) as object_:
        assert object_.maps["entries"].spec.max_entries == 1000
        assert "told" not in object_.programs
        assert "out" in object_.programs


def test_a_map_can_be_shared_with_an_earlier_load(objects):
    with loaded(objects) as first:
        first.maps["numbers"].insert(3, 33)
        with loaded(objects, reuse={"numbers": first.maps["numbers"].fd}) as second:
            assert second.maps["numbers"].lookup(3) == 33
            assert second.maps["numbers"].id() == first.maps["numbers"].id()
            assert second.maps["entries"].id() != first.maps["entries"].id()


def test_the_verifiers_complaint_is_shown_with_its_source_line(objects):
    with pytest.raises(errors.VerifierRejected) as caught:
        Opened.read(objects / "rejected.bpf.o").configure(Configuration()).load()
    error = caught.value
    assert error.program == "careless"
    assert "nobody checked for NULL" in str(error)
    assert "R0 invalid mem access 'map_value_or_null'" in str(error)
    assert len(str(error).splitlines()) < 12
    assert len(error.log) > len(str(error))


def test_an_object_loads_without_the_program_that_was_refused(objects):
    opened = Opened.read(objects / "rejected.bpf.o")
    with opened.configure(Configuration(skip=("careless",))).load() as object_:
        assert list(object_.programs) == ["fine"]


def test_garbage_is_no_object(tmp_path):
    (tmp_path / "x.bpf.o").write_bytes(b"not an ELF file" * 10)
    with pytest.raises(errors.OurFault, match="opening object x"):
        Opened.read(tmp_path / "x.bpf.o")


def test_attached_programs_run_until_the_object_is_closed(objects, cgroup):
    fd = os.open(cgroup, os.O_RDONLY)
    try:
        with loaded(objects).attach(cgroup_fd=fd) as attached:
            numbers = attached.loaded.maps["numbers"]
            subprocess.run(["true"], check=True)
            assert numbers.lookup(1) > 0, "tp_btf/sched_process_exec saw nothing"
            # cgroup_skb/ingress returned 0 for a wrong configuration: packets are dropped there,
            # so only what leaves is looked at.
            _send_datagram_from(cgroup)
            assert numbers.lookup(0) > 0, "cgroup_skb/egress saw nothing"
            facts = attached.links["out"].facts()
            assert facts.cgroup_id == os.stat(cgroup).st_ino
            assert links.query(fd, facts.attach_type)[1] == (facts.program_id,)
        assert links.query(fd, facts.attach_type)[1] == ()
    finally:
        os.close(fd)


def test_a_cgroup_link_changes_program_in_place(objects, cgroup):
    fd = os.open(cgroup, os.O_RDONLY)
    try:
        with loaded(objects) as first, loaded(objects) as second:
            link = links.attach(first.programs["out"], cgroup_fd=fd)
            before = link.facts()
            link.replace(second.programs["out"])
            after = link.facts()
            assert before.id == after.id
            assert after.program_id == second.programs["out"].facts().id
            _send_datagram_from(cgroup)
            assert second.maps["numbers"].lookup(0) > 0
            assert first.maps["numbers"].lookup(0) == 0
            assert link.detach()
            assert link.facts().cgroup_id == 0
            link.close()
    finally:
        os.close(fd)


def test_run_statistics_count_while_they_are_on(objects):
    with loaded(objects) as object_:
        program = object_.programs["told"]
        with programs.run_statistics():
            run = testrun.run_program(program, data=PACKET, repeat=100)
        facts = program.facts()
        assert run.duration_ns > 0
        assert facts.verified_insns > 0
        assert len(facts.tag) == 16
        # Test-run does not go through the statistics; a real run does, counted elsewhere.
        assert facts.run_cnt >= 0


def _send_datagram_from(cgroup: Path) -> None:
    script = (
        f"echo $$ > {cgroup}/cgroup.procs; "
        "exec python3 -c 'import socket; s = socket.socket(2, 2); "
        's.sendto(b"x", ("127.0.0.1", 9))\''
    )
    subprocess.run(["sh", "-c", script], check=True)
