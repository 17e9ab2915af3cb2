# SPDX-License-Identifier: Apache-2.0
"""Two hosts and a router between them that sends to the second one no faster than 50 Mbit/s.

    near ── eth0 ─────── router ── tbf 50 Mbit/s, 100 ms of queue ─────── eth0 ── far

The queue is the router's: what fills it delays everybody, whatever the near host thinks of them.
"""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.processes import BenchError
from undermesh.host.netns import Namespaces

T = TypeVar("T")

BITS_PER_SECOND = 50_000_000
NEAR, FAR = "10.98.1.1", "10.98.2.1"
_NEAR_DOOR, _FAR_DOOR = "10.98.1.2", "10.98.2.2"
_QUEUE_BYTES = BITS_PER_SECOND // 8 // 10
_DEVICE = "eth0"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowLink:
    """Names of the network namespaces."""

    near: str
    router: str
    far: str

    def in_near(self, do: Callable[[], T]) -> T:
        """Does something in the near host's namespace."""
        namespaces = Namespaces()
        try:
            for namespace in namespaces.scan():
                if namespace.path.name == self.near:
                    return namespace.call(do)
        finally:
            namespaces.close()
        raise BenchError(f"network namespace {self.near} is gone: nobody else may remove it")


@contextlib.contextmanager
def laid() -> Iterator[SlowLink]:
    """The link, up; removed with the block."""
    prefix = f"undermesh-bench-{os.getpid()}"
    link = SlowLink(near=f"{prefix}-near", router=f"{prefix}-router", far=f"{prefix}-far")
    with contextlib.ExitStack() as undo:
        for netns in (link.near, link.router, link.far):
            _run("ip", "netns", "add", netns)
            undo.callback(_run, "ip", "netns", "del", netns)
            _run("ip", "-n", netns, "link", "set", "lo", "up")
        _join(link.near, NEAR, link.router, "near", _NEAR_DOOR)
        _join(link.far, FAR, link.router, "far", _FAR_DOOR)
        _run("ip", "netns", "exec", link.router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        _run("tc", "-n", link.router, "qdisc", "add", "dev", "far", "root", "tbf",
             "rate", str(BITS_PER_SECOND), "burst", "3200", "limit", str(_QUEUE_BYTES))  # fmt: skip
        yield link


def _join(host: str, address: str, router: str, device: str, door: str) -> None:
    _run("ip", "-n", host, "link", "add", _DEVICE, "type", "veth", "peer", "name", device,
         "netns", router)  # fmt: skip
    for netns, name, own in ((host, _DEVICE, address), (router, device, door)):
        _run("ip", "-n", netns, "address", "add", f"{own}/24", "dev", name)
        _run("ip", "-n", netns, "link", "set", name, "up")
    _run("ip", "-n", host, "route", "add", "default", "via", door)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command)} answered: {done.stderr.strip()}")
