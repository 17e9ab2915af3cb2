# SPDX-License-Identifier: Apache-2.0
"""A data plane over one cgroup, and pairs of processes in it and outside of it."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np

from benchmarks import processes
from benchmarks.processes import BenchError
from undermesh import host
from undermesh.kernel import bpffs, plane
from undermesh.kernel.plane import Options, Plane

VIP = "198.18.255.1"
_FASTPATH, _USABLE, _NUMBER = 4, 1, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A caller that waits for orders; its server answers."""

    caller: subprocess.Popen[bytes]

    def ask(self, order: str) -> float:
        """Nanoseconds."""
        assert self.caller.stdin is not None
        self.caller.stdin.write(f"{order}\n".encode())
        self.caller.stdin.flush()
        return float(_line(self.caller))


@contextlib.contextmanager
def watched() -> Iterator[tuple[Plane, Path]]:
    """A data plane with everything on, the fast path too, over a cgroup of its own."""
    root = host.find_cgroup2()
    name = f"bench-{os.getpid()}"
    with processes.own_cgroup(root) as scope:
        try:
            options = Options(cgroup_root=root, instance=name, scope=scope)
            with Plane.start(options=options) as running:
                if why := running.turn_fastpath(on=True):
                    raise BenchError(f"this kernel has no fast path: {why}")
                yield running, scope
        finally:
            plane.remove(bpffs=bpffs.DEFAULT, instance=name)


@contextlib.contextmanager
def plain(cpus: tuple[int, int]) -> Iterator[Pair]:
    """A pair that nothing of undermesh sees."""
    with _served(cpus[1], None) as port, _called("127.0.0.1", port, cpus[0], None) as pair:
        yield pair


@contextlib.contextmanager
def joined(running: Plane, scope: Path, cpus: tuple[int, int]) -> Iterator[Pair]:
    """A pair through a service that asks for the fast path."""
    with _served(cpus[1], scope) as port:
        _steer(running, port)
        with _called(VIP, 80, cpus[0], scope) as pair:
            if len(running.joined_ends()) != 2:
                raise BenchError("the two ends were not joined")
            yield pair


def redirected(running: Plane) -> int:
    """Bytes that went from socket to socket on live connections."""
    return int(running.joined_ends()["bytes"].sum())


def requests(running: Plane) -> int:
    """Requests counted so far."""
    _, series = running.dump("um_series")
    return int(series["requests"].sum())


@contextlib.contextmanager
def _served(cpu: int, scope: Path | None) -> Iterator[int]:
    command = (sys.executable, "-m", "benchmarks.fastpath.peer", "serve")
    started = processes.start(command, cpu=cpu, cgroup=scope, stdout=subprocess.PIPE)
    with processes.running(started) as server:
        yield int(_line(server))


@contextlib.contextmanager
def _called(address: str, port: int, cpu: int, scope: Path | None) -> Iterator[Pair]:
    command = (sys.executable, "-m", "benchmarks.fastpath.peer", "call", address, str(port))
    pipe = subprocess.PIPE
    started = processes.start(command, cpu=cpu, cgroup=scope, stdin=pipe, stdout=pipe)
    with processes.running(started) as caller:
        if _line(caller) != "connected":
            raise BenchError(f"no connection to {address}:{port}")
        yield Pair(caller=caller)


def _line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().decode().strip()
    if not line:
        raise BenchError("an end of the measured connection has gone")
    return line


def _mapped(address: str) -> np.ndarray:
    return np.frombuffer(bytes(10) + b"\xff\xff" + IPv4Address(address).packed, "u1")


def _steer(running: Plane, port: int) -> None:
    """VIP:80 is 127.0.0.1:port."""
    maps = running.maps
    backend = np.zeros(1, maps["um_backends"].spec.value)
    backend["address"], backend["port"] = _mapped("127.0.0.1"), port
    backend["flags"], backend["service"] = _USABLE, _NUMBER
    slot = np.zeros(1, maps["um_slots"].spec.value)
    slot["backend"] = slot["other"] = _NUMBER
    service = np.zeros(1, maps["um_services"].spec.value)
    service["id"], service["flags"] = _NUMBER, _FASTPATH
    service["slots_at"], service["slots"] = _NUMBER, 1
    key = np.zeros(1, maps["um_services"].spec.key)
    key["address"], key["port"], key["l4"] = _mapped(VIP), 80, socket.IPPROTO_TCP
    running.insert("um_backends", _NUMBER, backend, exist="any")
    running.insert("um_slots", _NUMBER, slot, exist="any")
    running.insert("um_services", key, service, exist="any")
