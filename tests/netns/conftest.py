# SPDX-License-Identifier: Apache-2.0
"""A scope of cgroups, two hosts on a link, and a data plane that sees both."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.netns.hosts import Host, cgroup2, linked
from tests.netns.seeing import Seen
from tests.netns.services import Services, opened
from undermesh.kernel import bpffs, plane
from undermesh.kernel.tables import Tables


@pytest.fixture(autouse=True, scope="session")
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("network namespaces and eBPF take root")


def new_name() -> str:
    """A name nobody else uses, that says whose it is."""
    return f"t-{os.getpid()}-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def scope() -> Iterator[Path]:
    """A cgroup of one's own: what a plane is limited to."""
    path = cgroup2() / f"undermesh-{new_name()}"
    path.mkdir()
    yield path
    path.rmdir()


@pytest.fixture(scope="module")
def hosts(scope: Path) -> Iterator[tuple[Host, Host]]:
    """Two hosts on a link; nothing observes them yet."""
    with linked(new_name(), scope) as both:
        yield both


def observe(scope: Path, **options: object) -> Iterator[Seen]:
    """A data plane limited to `scope`, removed afterwards whatever happens."""
    name = new_name()
    chosen = plane.Options(
        cgroup_root=cgroup2(),
        instance=name,
        scope=scope,
        **options,
    )

    def seed(tables: Tables) -> None:
        cgroups = np.array([path.stat().st_ino for path in scope.rglob("*") if path.is_dir()], "u8")
        entries = np.zeros(len(cgroups), tables.dtype("um_cgroup"))
        tables.insert("um_cgroups", cgroups, entries)

    try:
        with plane.Plane.start(options=chosen, seed=seed) as running:
            yield Seen(running, root=scope)
    finally:
        plane.remove(bpffs=bpffs.DEFAULT, instance=name)


@pytest.fixture(scope="module")
def seen(scope: Path, hosts: tuple[Host, Host]) -> Iterator[Seen]:
    """What a data plane saw of both hosts since they exist."""
    yield from observe(scope)


@pytest.fixture
def a(hosts: tuple[Host, Host], seen: Seen) -> Host:
    """One host, observed."""
    return hosts[0]


@pytest.fixture
def b(hosts: tuple[Host, Host], seen: Seen) -> Host:
    """The other one."""
    return hosts[1]


@pytest.fixture(scope="module")
def services(seen: Seen) -> Iterator[Services]:
    """The plane's services, empty at first."""
    yield from opened(seen)
