# SPDX-License-Identifier: Apache-2.0
"""Hosts as network namespaces, workloads as cgroups: sockets of both live in the test process.

A socket belongs to the namespace and the cgroup its maker is in when it is made, so a test steps
inside for that moment and then holds both ends itself, in the order it wants.
"""

import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


_ports = itertools.count(10001)


def new_port() -> int:
    """A server port for one test alone: the kernel would give an earlier test's out again."""
    return next(_ports)


def run(*command: str, text: str = "") -> str:
    """Runs a command to its end; what it printed. An exit code other than 0 is an error."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
    return done.stdout


def cgroup2() -> Path:
    """Where cgroup v2 is mounted, hybrid or pure."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if right.startswith("cgroup2 "):
            return Path(left.split()[4])
    raise AssertionError("no cgroup v2 here")


def own_cgroup() -> Path:
    """The cgroup this process is in."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return cgroup2() / line[3:].lstrip("/")
    raise AssertionError("this process is in no v2 cgroup")


@contextlib.contextmanager
def in_cgroup(path: Path) -> Iterator[None]:
    """This process lives there for a while."""
    before = own_cgroup()
    (path / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        (before / "cgroup.procs").write_text(str(os.getpid()))


@contextlib.contextmanager
def in_netns(name: str) -> Iterator[None]:
    """This thread's new sockets are there for a while."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there)
        yield
    finally:
        _enter(before)
        os.close(there)
        os.close(before)


def _enter(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A network namespace with one workload's cgroup. `v4` and `v6` are its addresses."""

    netns: str
    cgroup: Path
    v4: str
    v6: str

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets made here are this host's, of this workload."""
        with in_cgroup(self.cgroup), in_netns(self.netns):
            yield

    def open(self, family: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket of this host; nothing waits longer than ten seconds."""
        with self.inside():
            made = socket.socket(family, kind)
        made.settimeout(10)
        return made

    def address(self, family: int) -> str:
        """Its address of that family."""
        return self.v4 if family == socket.AF_INET else self.v6

    def listen(self, family: int = socket.AF_INET, *, port: int | None = None) -> socket.socket:
        """A listening TCP socket."""
        made = self.open(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((self.address(family), new_port() if port is None else port))
        made.listen(128)
        return made

    def connect(self, to: socket.socket) -> socket.socket:
        """A TCP connection to a listening socket, established, not yet accepted."""
        made = self.open(to.family)
        made.connect(to.getsockname())
        return made

    def run(self, *command: str, text: str = "") -> str:
        """Runs a command in its namespace."""
        return run("ip", "netns", "exec", self.netns, *command, text=text)

    @contextlib.contextmanager
    def rules(self, chain: str, *rules: str) -> Iterator[None]:
        """nftables rules of this host, for both IP versions: one chain, its type and hook first."""
        body = "\n".join((f"{chain};", *rules))
        self.run("nft", "-f", "-", text=f"table inet rules {{\nchain rules {{\n{body}\n}}\n}}\n")
        try:
            yield
        finally:
            self.run("nft", "delete", "table", "inet", "rules")

    def set(self, name: str, value: object) -> None:
        """Sets one of the namespace's sysctls: "ipv4.tcp_syn_retries"."""
        with in_netns(self.netns):
            Path("/proc/sys/net", *name.split(".")).write_text(str(value))


def exchange(
    client: socket.socket, server: socket.socket, *, request: bytes, answer: bytes
) -> None:
    """A request and its answer, each small enough for the socket buffers."""
    client.sendall(request)
    assert receive(server, len(request)) == request
    server.sendall(answer)
    assert receive(client, len(answer)) == answer


def receive(end: socket.socket, size: int) -> bytes:
    """Exactly that many bytes."""
    got = bytearray()
    while len(got) < size:
        piece = end.recv(min(1 << 20, size - len(got)))
        assert piece, f"the connection ended after {len(got)} of {size} bytes"
        got += piece
    return bytes(got)


@contextlib.contextmanager
def linked(name: str, scope: Path) -> Iterator[tuple[Host, Host]]:
    """Two hosts on one link; their cgroups are `scope`/a and `scope`/b."""
    hosts = []
    with contextlib.ExitStack() as undo:
        for end, number in (("a", 1), ("b", 2)):
            netns = f"{name}-{end}"
            run("ip", "netns", "add", netns)
            undo.callback(run, "ip", "netns", "del", netns)
            cgroup = scope / end
            cgroup.mkdir()
            undo.callback(cgroup.rmdir)
            hosts.append(
                Host(netns=netns, cgroup=cgroup, v4=f"10.99.0.{number}", v6=f"fd99::{number}")
            )
        a, b = hosts
        run("ip", "-n", a.netns, "link", "add", "eth0", "type", "veth", "peer", "eth0",
            "netns", b.netns)  # fmt: skip
        for host in hosts:
            ip = ("ip", "-n", host.netns)
            run(*ip, "address", "add", f"{host.v4}/24", "dev", "eth0")
            run(*ip, "address", "add", f"{host.v6}/64", "dev", "eth0", "nodad")
            run(*ip, "link", "set", "eth0", "up")
            run(*ip, "link", "set", "lo", "up")
        yield a, b
