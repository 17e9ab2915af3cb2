# SPDX-License-Identifier: Apache-2.0
"""Hosts as network namespaces, wired to each other."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.waiting import until


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """A network namespace whose loopback is up."""

    name: str

    def inside(self, *argv: str) -> list[str]:
        """`argv`, in this namespace."""
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, *argv: str, text: str = "") -> str:
        """Runs a command to set something up; fails with what it said."""
        done = subprocess.run(self.inside(*argv), input=text, capture_output=True, text=True)
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def resolver(self, address: str) -> None:
        """Makes a nameserver the one of processes started by `ip netns exec` (ip-netns(8))."""
        directory = Path("/etc/netns") / self.name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "resolv.conf").write_text(f"nameserver {address}\noptions timeout:2\n")


@contextlib.contextmanager
def nets(*names: str) -> Iterator[Sequence[Net]]:
    """Namespaces for the length of a block."""
    made: list[Net] = []
    had = Path("/etc/netns").exists()
    try:
        for name in names:
            _ip("netns", "add", name)
            made.append(Net(name=name))
            _ip("-n", name, "link", "set", "lo", "up")
        yield made
    finally:
        for net in made:
            _ip("netns", "delete", net.name)
            shutil.rmtree(Path("/etc/netns") / net.name, ignore_errors=True)
        if made and not had:
            with contextlib.suppress(OSError):
                Path("/etc/netns").rmdir()


def wire(one: Net, other: Net, *, network: str) -> tuple[str, str]:
    """Two ends of a cable; answers their addresses, NETWORK.1 and NETWORK.2 (network 10.x.y)."""
    ends = (f"{network}.1", f"{network}.2")
    device = f"w{network.replace('.', '-')}"
    _ip(
        "-n", one.name, "link", "add", device, "type", "veth", "peer", "name", device,
        "netns", other.name,
    )  # fmt: skip
    for net, address in zip((one, other), ends, strict=True):
        _ip("-n", net.name, "address", "add", f"{address}/24", "dev", device)
        _ip("-n", net.name, "link", "set", device, "up")
    until(lambda: "LOWER_UP" in one.run("ip", "link", "show", device), what="the cable")
    return ends


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
