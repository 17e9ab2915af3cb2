# SPDX-License-Identifier: Apache-2.0
"""Services put into the kernel's tables by hand."""

import ipaddress
import itertools
import socket
import struct
from collections.abc import Iterator, Sequence

import numpy as np

from tests.netns.hosts import Host, in_netns
from tests.netns.seeing import Seen
from undermesh.kernel import steering

RANDOM, MAGLEV, LEAST_LOADED, LEAST_LATENCY = range(4)
BY_NETNS, REFUSED = 1, 2
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP
EVEN = 1 << 32
SO_NETNS_COOKIE = 71
_vips = itertools.count(1)


def vip(family: int = socket.AF_INET) -> str:
    """A service address nobody else uses, and no route leads to."""
    number = next(_vips)
    if family == socket.AF_INET:
        return f"198.18.{number >> 8}.{number & 255}"
    return f"fd00:756d:6573:6800::c612:{number:x}"


def raw(address: str) -> np.ndarray:
    """16 bytes; IPv4 as a mapped address."""
    found = ipaddress.ip_address(address)
    mapped = b"\0" * 10 + b"\xff\xff" if found.version == 4 else b""
    return np.frombuffer(mapped + found.packed, "u1")


def cookie(host: Host) -> int:
    """Of its network namespace."""
    with in_netns(host.netns), socket.socket(socket.AF_INET) as any_socket:
        return int(
            struct.unpack("Q", any_socket.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))[0]
        )


class Services:
    """The tables of one plane; numbers are given out in order and not used again."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.tables = steering.Steering(seen.plane.maps)
        held = self.tables.actual()
        self._row, self._backend = held.services.dtype, held.backends.dtype
        self._slot, self._loads = held.slots.dtype, held.loads
        self._numbers, self._ids, self._slots = itertools.count(1), itertools.count(1), 0

    def new_id(self) -> int:
        """For a service."""
        return next(self._ids)

    def backend(self, address: str, port: int, *, service: int, netns: int = 0) -> int:
        """A usable backend's number."""
        number = next(self._numbers)
        row = np.zeros(1, self._backend)
        row["address"], row["port"], row["service"] = raw(address), port, service
        row["flags"], row["netns"] = steering.USABLE, netns
        self.tables.put_backends(np.array([number], "u4"), row)
        return number

    def columns(self, columns: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
        """(backend, other, threshold) each; where they are and how many."""
        rows = np.zeros(len(columns), self._slot)
        for row, (backend, other, threshold) in zip(rows, columns, strict=True):
            row["backend"], row["other"] = backend, other
            row["threshold"] = min(threshold, EVEN - 1)
        at, self._slots = self._slots, self._slots + len(rows)
        self.tables.put_slots(at, rows)
        return at, len(rows)

    def put(
        self,
        address: str,
        port: int,
        backends: Sequence[int] | Sequence[tuple[int, int, int]],
        *,
        service: int,
        l4: int = TCP,
        **columns: int,
    ) -> None:
        """Puts one entry; `backends` are evenly weighted numbers, or columns."""
        even = [b if isinstance(b, tuple) else (b, b, EVEN) for b in backends]
        row = np.zeros(1, self._row)
        row["address"], row["port"], row["l4"], row["id"] = raw(address), port, l4, service
        row["slots_at"], row["slots"] = self.columns(even)
        for name, value in columns.items():
            row[name] = value
        self.tables.put_services(row)

    def load(self, number: int) -> np.void:
        """What the kernel knows of a backend now."""
        return self._loads[number].copy()

    def open(self, *numbers: int) -> list[int]:
        """Open connections of each."""
        return [int(self._loads[number]["open"]) for number in numbers]

    def connects(self, *numbers: int) -> list[int]:
        """Connections ever established with each."""
        return [int(self._loads[number]["connects"]) for number in numbers]

    def simple(self, to: socket.socket, *, l4: int = TCP, port: int = 80) -> tuple[str, int]:
        """A service of the socket's address alone: its address, and its backend's number."""
        address, at = to.getsockname()[:2]
        service = self.new_id()
        number = self.backend(address, at, service=service)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        where = vip(family)
        self.put(where, port, [number], service=service, l4=l4)
        return where, number


def opened(seen: Seen) -> Iterator[Services]:
    """The tables, for as long as they are used."""
    services = Services(seen)
    with services.tables:
        yield services
        del services._loads


def chi_square(counts: Sequence[int], shares: Sequence[float]) -> float:
    """How far counts are from their shares (Pearson)."""
    expected = [sum(counts) * share / sum(shares) for share in shares]
    return sum((c - e) ** 2 / e for c, e in zip(counts, expected, strict=True))


UNLIKELY = {1: 15.1, 2: 18.4, 3: 21.1, 4: 23.5, 9: 33.7}
"""Degrees of freedom → what chi-square exceeds once in 10,000 times."""
