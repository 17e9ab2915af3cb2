# SPDX-License-Identifier: Apache-2.0
"""Compiled test objects, a mounted BPF file system and cgroups of one's own."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.judging import Judge
from tools import bpf_objects
from undermesh.kernel import bpffs
from undermesh.kernel.loaded import Loaded
from undermesh.kernel.objects import Configuration, Opened

ROOT = Path(__file__).parents[2]
OBJECTS = Path(__file__).parent / "objects"


def cgroup2() -> Path:
    """Where cgroup v2 is mounted, hybrid or pure."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if right.startswith("cgroup2 "):
            return Path(left.split()[4])
    raise AssertionError("no cgroup v2 here")


@pytest.fixture(autouse=True, scope="session")
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("loading eBPF programs takes root")


@pytest.fixture(scope="session")
def objects() -> Path:
    """The directory of tests/kernel/objects/*.bpf.c, compiled."""
    into = ROOT / "build" / "kernel-test-objects"
    bpf_objects.build(sorted(OBJECTS.glob("*.bpf.c")), into=into, root=ROOT)
    return into


@pytest.fixture(scope="session")
def bpf_dir() -> Path:
    """A mounted BPF file system."""
    path = Path("/sys/fs/bpf")
    bpffs.mount(path)
    return path


@pytest.fixture
def instance() -> str:
    """An instance name nobody else uses."""
    return f"test-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """An empty cgroup below the v2 root."""
    path = cgroup2() / f"undermesh-test-{uuid.uuid4().hex[:10]}"
    path.mkdir()
    yield path
    for child in path.glob("*"):
        if child.is_dir():
            child.rmdir()
    path.rmdir()


@pytest.fixture(scope="session")
def wrappers() -> Path:
    """The directory of bpf/tests/*.bpf.c, compiled: functions of the data path to be test-run."""
    bpf_objects.build_tests(root=ROOT)
    return ROOT / "build" / "bpf-tests"


@pytest.fixture(scope="session")
def parts(wrappers: Path) -> Iterator[Loaded]:
    """parts.bpf.o, loaded."""
    configuration = Configuration(variables={"um_config": {"shards": 1, "answers_per_s": 1 << 30}})
    with Opened.read(wrappers / "parts.bpf.o").configure(configuration).load() as loaded:
        yield loaded


@pytest.fixture(scope="session")
def judge(wrappers: Path) -> Iterator[Judge]:
    """judge.bpf.o, loaded."""
    variables = {"um_config": {"shards": 4, "samples_per_s": (0, 0, 0, 0)}}
    opened = Opened.read(wrappers / "judge.bpf.o")
    with opened.configure(Configuration(variables=variables)).load() as loaded:
        yield Judge(loaded)
