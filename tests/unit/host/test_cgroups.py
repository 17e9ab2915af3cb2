# SPDX-License-Identifier: Apache-2.0
"""Where cgroup v2 is mounted, and which cgroups there are."""

import os
from pathlib import Path

import pytest

from undermesh.host.cgroups import CgroupScan, cgroup_id, find_cgroup2
from undermesh.host.errors import NoCgroup2

HYBRID = """\
22 1 254:0 / / rw,relatime - ext4 /dev/root rw
31 22 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
PURE = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_pure_and_hybrid_hierarchies_are_found():
    assert find_cgroup2(PURE) == Path("/sys/fs/cgroup")
    assert find_cgroup2(HYBRID) == Path("/sys/fs/cgroup/unified")


def test_of_several_mounts_the_one_that_shows_everything_wins():
    part = "50 22 0:38 /docker/abc /a rw - cgroup2 cgroup2 rw\n"
    again = "51 22 0:38 / /sys/fs/cgroup/unified/deep/again rw - cgroup2 cgroup2 rw\n"
    assert find_cgroup2(part + again + HYBRID) == Path("/sys/fs/cgroup/unified")
    assert find_cgroup2(part) == Path("/a")


def test_a_mount_point_with_blanks_is_read():
    assert find_cgroup2(r"1 1 0:1 / /my\040cgroups\134x rw - cgroup2 c rw") == Path(
        "/my cgroups\\x"
    )


@pytest.mark.parametrize(
    "text", ["", "nonsense", "1 2 - cgroup2 x", HYBRID.replace("cgroup2 ", "x ")]
)
def test_without_cgroup2_it_says_how_to_mount_it(text):
    with pytest.raises(NoCgroup2, match="mount -t cgroup2"):
        find_cgroup2(text)


def test_this_host_answers():
    try:
        assert find_cgroup2().is_dir()
    except NoCgroup2:
        pytest.skip("this host has no cgroup v2: " + Path("/proc/filesystems").read_text())


def test_a_scan_finds_every_directory_by_its_inode(tmp_path):
    deep = tmp_path / "system.slice" / "nginx.service"
    deep.mkdir(parents=True)
    (tmp_path / "cgroup.procs").write_text("")
    (tmp_path / "link").symlink_to(deep)
    hostile = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(hostile)
    tree = CgroupScan(tmp_path).read()
    assert tree.missed == 0
    assert tree.paths[cgroup_id(tmp_path)] == "/"
    assert tree.paths[cgroup_id(deep)] == "/system.slice/nginx.service"
    assert tree.paths[os.stat(hostile).st_ino] == "/caf\udce9"
    assert len(tree.paths) == 4


def test_what_is_beyond_the_limit_is_counted(tmp_path):
    for n in range(10):
        (tmp_path / str(n)).mkdir()
    tree = CgroupScan(tmp_path, limit=5).read()
    assert (len(tree.paths), tree.missed) == (5, 6)


def test_a_root_that_is_gone_is_an_empty_tree(tmp_path):
    tree = CgroupScan(tmp_path / "gone").read()
    assert (dict(tree.paths), tree.missed) == ({}, 1)
