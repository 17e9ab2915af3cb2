# SPDX-License-Identifier: Apache-2.0
"""What would be used instead: a DNAT map of nftables, and HAProxy; each with as many services."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks import processes
from benchmarks.lb.ends import Target
from benchmarks.processes import BenchError

PORT = 8080
_FIRST = int(IPv4Address("127.64.0.1"))
_SECONDS = 60.0


def address(number: int) -> str:
    """A service's address, on the loopback: both are given a route to it by that."""
    return str(IPv4Address(_FIRST + number))


@contextlib.contextmanager
def namespace() -> Iterator[Sequence[str]]:
    """A network namespace, as the words that run a command in it: address translation anywhere
    tracks every connection there is, those of others too."""
    ip, name = processes.tool("ip", "iproute2"), f"undermesh-bench-{os.getpid()}"
    _run([ip, "netns", "add", name])
    try:
        within = [ip, "netns", "exec", name]
        _run([*within, ip, "link", "set", "lo", "up"])
        yield within
    finally:
        _run([ip, "netns", "del", name])


def nftables(within: Sequence[str], count: int, ports: Sequence[int]) -> None:
    """DNAT of `count` services to three backends each, drawn evenly: one look-up in one map."""
    elements = ", ".join(
        f"{address(number)} . {turn} : 127.0.0.1 . {port}"
        for number in range(count)
        for turn, port in enumerate(ports)
    )
    rules = (
        "table ip bench {\n"
        "  map backends {\n"
        "    type ipv4_addr . mark : ipv4_addr . inet_service\n"
        f"    elements = {{ {elements} }}\n"
        "  }\n"
        "  chain output {\n"
        "    type nat hook output priority -100\n"
        f"    ip daddr 127.64.0.0/10 tcp dport {PORT} meta mark set numgen random mod "
        f"{len(ports)}\n"
        "    ip protocol tcp dnat ip to ip daddr . meta mark map @backends\n"
        "  }\n"
        "}\n"
    )
    _run([*within, processes.tool("nft", "nftables"), "-f", "-"], rules)


@contextlib.contextmanager
def haproxy(directory: Path, count: int, ports: Sequence[int]) -> Iterator[None]:
    """HAProxy on the server's core, TCP, a listener and three servers a service."""
    servers = "".join(f"  server s{i} 127.0.0.1:{port}\n" for i, port in enumerate(ports))
    sections = "".join(
        f"listen s{number}\n  bind {address(number)}:{PORT}\n{servers}" for number in range(count)
    )
    configuration = directory / "haproxy.cfg"
    configuration.write_text(
        "global\n  nbthread 1\n  maxconn 1000\n"
        "defaults\n  mode tcp\n  balance random(1)\n  option tcp-smart-connect\n"
        "  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n" + sections
    )
    command = [processes.tool("haproxy", "haproxy"), "-db", "-f", str(configuration)]
    with (directory / "haproxy.log").open("wb") as log:
        process = processes.start(command, cpu=processes.cores()[1], stderr=log)
        with processes.running(process):
            _await(process, directory, (address(count - 1), PORT))
            yield


def _await(process: subprocess.Popen[bytes], directory: Path, last: Target) -> None:
    def answers() -> bool:
        if process.poll() is not None:
            said = (directory / "haproxy.log").read_text(errors="replace")[-800:]
            raise BenchError(f"haproxy ended at once: {said}")
        with socket.socket() as probe:
            return probe.connect_ex(last) == 0

    processes.wait_until(answers, what="haproxy to listen", seconds=_SECONDS, every=0.1)


def _run(command: Sequence[str], text: str | None = None) -> None:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode:
        raise BenchError(f"{' '.join(command[-3:])}: {done.stderr.strip()[:400]}")
