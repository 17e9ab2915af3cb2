# SPDX-License-Identifier: Apache-2.0
"""Processes, from a /proc made for the test and from the real one."""

import os
import time

import pytest

from undermesh.host.processes import ProcessReader, parse_cgroup


@pytest.fixture
def proc(tmp_path):
    def make(pid, *, comm=b"nginx", exe="/usr/sbin/nginx", parent=1, start=100, cgroup=b"0::/a\n"):
        home = tmp_path / str(pid)
        home.mkdir()
        fields = [b"S", b"%d" % parent, *[b"0"] * 17, b"%d" % start, b"0"]
        (home / "stat").write_bytes(b"%d (%s) " % (pid, comm) + b" ".join(fields) + b"\n")
        (home / "cgroup").write_bytes(cgroup)
        if exe:
            (home / "exe").symlink_to(exe)
        return tmp_path

    return make


def test_a_process_is_read(proc):
    root = proc(7, cgroup=b"4:memory:/x\n0::/system.slice/nginx.service\n")
    found = ProcessReader(root).read(7)
    assert (found.pid, found.parent, found.exe) == (7, 1, "nginx")
    assert found.cgroup == "/system.slice/nginx.service"


@pytest.mark.parametrize("comm", [b"a) S 9 9", b"((", b"\xff\n", b""])
def test_a_command_cannot_shift_the_fields(proc, comm):
    found = ProcessReader(proc(7, comm=comm, parent=42)).read(7)
    assert found.parent == 42


def test_a_replaced_executable_keeps_its_name(proc):
    assert ProcessReader(proc(7, exe="/usr/sbin/nginx (deleted)")).read(7).exe == "nginx"


def test_a_kernel_thread_is_called_by_its_command(proc):
    assert ProcessReader(proc(7, exe="", comm=b"kthreadd")).read(7).exe == "kthreadd"


@pytest.mark.parametrize("stat", [b"", b"7 (x", b"7 (x) S", b"7 (x) S a b c", b"\xff" * 300])
def test_a_stat_that_does_not_parse_is_no_process(proc, stat):
    root = proc(7)
    (root / "7" / "stat").write_bytes(stat)
    assert ProcessReader(root).read(7) is None


def test_a_process_that_is_gone_is_none(tmp_path):
    assert ProcessReader(tmp_path).read(7) is None


def test_this_process_started_a_moment_ago():
    found = ProcessReader().read(os.getpid())
    assert found.parent == os.getppid()
    assert 0 < found.started_ns <= time.monotonic_ns()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b"0::/\n", "/"),
        (b"0::/a (deleted)\n", "/a"),
        (b"1:name=systemd:/x\n", ""),
        (b"0::/caf\xe9\n", "/caf\udce9"),
        (b"", ""),
    ],
)
def test_the_cgroup_is_that_of_hierarchy_0(text, path):
    assert parse_cgroup(text) == path


def test_processes_of_a_cgroup(proc, tmp_path):
    root = proc(7)
    proc(9, exe="/usr/bin/curl")
    cgroup = tmp_path / "cgroup"
    cgroup.mkdir()
    (cgroup / "cgroup.procs").write_text("9\n7\n7\n0\n")
    reader = ProcessReader(root)
    assert reader.in_cgroup(cgroup) == (7, 9)
    assert reader.by_exe(cgroup, "curl") == (9,)
    assert reader.in_cgroup(tmp_path / "gone") == ()
