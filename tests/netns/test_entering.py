# SPDX-License-Identifier: Apache-2.0
"""Network namespaces as they come and go, and what is done inside of them."""

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.netns.conftest import new_name
from tests.netns.hosts import run
from undermesh.host.netns import Namespaces, own_cookie


@pytest.fixture
def namespaces() -> Iterator[Namespaces]:
    """A fresh list."""
    found = Namespaces()
    yield found
    found.close()


@pytest.fixture
def netns() -> Iterator[str]:
    """One that `ip netns` keeps."""
    name = new_name()
    run("ip", "netns", "add", name)
    yield name
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def inode(name: str) -> int:
    return os.stat(f"/run/netns/{name}").st_ino


def test_ours_is_listed(namespaces: Namespaces) -> None:
    assert own_cookie() in {one.cookie for one in namespaces.scan()}


def test_what_is_made_inside_stays_there(namespaces: Namespaces, netns: str) -> None:
    (there,) = (one for one in namespaces.scan() if one.inode == inode(netns))

    assert there.call(own_cookie) == there.cookie != own_cookie()
    made = there.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with made, pytest.raises(OSError, match="unreachable"):
        made.connect(("127.0.0.1", 53))
    assert there.call(lambda: [name for _, name in socket.if_nameindex()]) == ["lo"]


def test_one_of_a_process_without_a_name(namespaces: Namespaces) -> None:
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; read end"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"\n"
        number = os.stat(f"/proc/{process.pid}/ns/net").st_ino
        (found,) = (one for one in namespaces.scan() if one.inode == number)
        assert found.call(own_cookie) == found.cookie
        process.communicate(b"\n")
    assert found.cookie not in {one.cookie for one in namespaces.scan()}
    with pytest.raises((FileNotFoundError, ProcessLookupError)):
        found.call(own_cookie)


def test_a_name_that_leads_elsewhere_by_now(namespaces: Namespaces, netns: str) -> None:
    (before,) = (one for one in namespaces.scan() if one.inode == inode(netns))
    with before.call(socket.socket):  # keeps the old one, and with it its inode
        run("ip", "netns", "del", netns)
        run("ip", "netns", "add", netns)
        with pytest.raises(FileNotFoundError, match="another network namespace"):
            before.call(own_cookie)
        (after,) = (one for one in namespaces.scan() if one.inode == inode(netns))
        assert after.cookie != before.cookie


def test_homes(namespaces: Namespaces, netns: str) -> None:
    (there,) = (one for one in namespaces.scan() if one.inode == inode(netns))
    (named,) = (one for one in namespaces.scan({there.cookie: "shop"}) if one.inode == inode(netns))
    assert (there.home, named.home) == ("default", "shop")


def test_what_goes_wrong_inside_is_told_and_the_thread_comes_back(
    namespaces: Namespaces, netns: str
) -> None:
    (there,) = (one for one in namespaces.scan() if one.inode == inode(netns))
    with pytest.raises(ZeroDivisionError):
        there.call(lambda: 1 // 0)
    (ours,) = (one for one in namespaces.scan() if one.cookie == own_cookie())
    assert ours.call(own_cookie) == own_cookie()
