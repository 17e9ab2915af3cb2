# SPDX-License-Identifier: Apache-2.0
"""What a data plane counted, by the names a test knows its ends by."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from undermesh.kernel.plane import Plane

METHODS = ("", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
L7 = ("undecided", "tcp", "udp", "http1", "http2", "tls", "dns")
ROLES = ("unknown", "client", "server", "shadow")
FAILURES = ("none", "refused", "reset", "timeout", "unreachable", "aborted", "other")
SUMMED = ("opened", "closed", "connects", "connect_ns", "tx_bytes", "rx_bytes", "tx_packets",
          "rx_packets", "retransmits", "resets", "rtt_us", "rtts", "desyncs")  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge over all shards. Ends are cgroup names, "world", "host", an address, or "?"."""

    client: str
    server: str
    role: str
    l7: str
    sums: Mapping[str, int]
    failures: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.sums[name]


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of one series over all shards."""

    client: str
    server: str
    role: str
    l7: str
    method: str
    status: int
    requests: int
    ended: int
    request_bytes: int
    response_bytes: int
    duration_ns: int


class Seen:
    """A view of one plane. Everything is asked by server port, which tests do not share."""

    def __init__(self, plane: Plane, *, root: Path) -> None:
        self.plane = plane
        self._root = root
        self._flows: list[np.ndarray] = []
        self._answers: list[np.ndarray] = []
        self._samples: list[np.ndarray] = []

    def edges(self, port: int) -> list[Edge]:
        """Edges of a port, live connections and conversations brought up to date."""
        self.plane.sweep_sockets()
        self.plane.sweep_udp()
        names = self._names()
        merged: dict[tuple[str, str, str, str], tuple[Counter[str], Counter[str]]] = {}
        keys, values = self.plane.dump("um_edges")
        for key, value in zip(keys, values, strict=True):
            if int(key["port"]) != port:
                continue
            ends = names[int(key["client"])], names[int(key["server"])]
            what = (*ends, ROLES[int(key["role"])], L7[int(key["l7"])])
            sums, failures = merged.setdefault(what, (Counter(), Counter()))
            for name in SUMMED:
                sums[name] += int(value[name])
            for name, count in zip(FAILURES, value["failures"], strict=False):
                if count:
                    failures[name] += int(count)
        return [Edge(*what, sums=s, failures=dict(f)) for what, (s, f) in sorted(merged.items())]

    def edge(self, port: int) -> Edge:
        """The one edge of a port; entries of shadows, which carry retransmits only, aside."""
        found = [edge for edge in self.edges(port) if edge.role != "shadow"]
        assert len(found) == 1, found
        return found[0]

    def requests(self, port: int) -> list[Requests]:
        """Series of a port."""
        names = self._names()
        merged: dict[tuple[Any, ...], Counter[str]] = {}
        keys, values = self.plane.dump("um_series")
        for key, value in zip(keys, values, strict=True):
            if int(key["port"]) != port:
                continue
            ends = names[int(key["client"])], names[int(key["server"])]
            kind = ROLES[int(key["role"])], L7[int(key["l7"])], METHODS[int(key["method"])]
            sums = merged.setdefault((*ends, *kind, int(key["status"])), Counter())
            for name in ("requests", "ended", "request_bytes", "response_bytes", "duration_ns"):
                sums[name] += int(value[name])
        return [Requests(*what, **sums) for what, sums in sorted(merged.items())]

    def counts(self, port: int) -> dict[tuple[str, int], int]:
        """(method, status) → requests of a port."""
        found: Counter[tuple[str, int]] = Counter()
        for one in self.requests(port):
            found[one.method, one.status] += one.requests
        return dict(found)

    def flows(self, port: int) -> np.ndarray:
        """`um_flow` records of connections to a port that ended, since the plane started."""
        self._flows.append(self.plane.drain("um_flows"))
        records = np.concatenate(self._flows)
        return records[records["port"] == port]

    def open_flows(self, port: int) -> np.ndarray:
        """`um_flow` records of live TCP connections to a port."""
        records = self.plane.sweep_sockets()
        return records[records["port"] == port]

    def samples(self, port: int) -> np.ndarray:
        """`um_sample` records of a port, since the plane started."""
        self._samples.append(self.plane.drain("um_samples"))
        records = np.concatenate(self._samples)
        return records[records["port"] == port]

    def answers(self) -> np.ndarray:
        """`um_answer` records since the plane started."""
        self._answers.append(self.plane.drain("um_answers"))
        return np.concatenate(self._answers)

    def stat(self, name: str) -> int:
        """One of the plane's loss counters."""
        return self.plane.stats()[name]

    def _names(self) -> Mapping[int, str]:
        names = Names({0: "?", 1: "world", 2: "host"})
        cgroups = {path.stat().st_ino: path.name for path in self._root.rglob("*") if path.is_dir()}
        keys, values = self.plane.dump("um_owners")
        for key, value in zip(keys, values, strict=True):
            names[int(value["number"])] = cgroups.get(int(key["cgroup_id"]), "elsewhere")
        keys, values = self.plane.dump("um_peers")
        for key, value in zip(keys, values, strict=True):
            names[int(value["number"])] = address(key["address"])
        return names


class Names(dict[int, str]):
    """Numbers nobody knows are named by themselves."""

    def __missing__(self, number: int) -> str:
        return f"number {number}"


def address(raw: np.ndarray) -> str:
    """16 bytes as text; IPv4 without its mapping."""
    import ipaddress

    found = ipaddress.IPv6Address(bytes(bytearray(raw)))
    return str(found.ipv4_mapped or found)


def eventually(ask: Callable[[], T], *, within: float = 5.0) -> T:
    """The first true answer; asks every few milliseconds, fails with the last one."""
    deadline = time.monotonic() + within
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"still {answer!r} after {within} s"
        time.sleep(0.005)
