# SPDX-License-Identifier: Apache-2.0
"""The tables of services of a running agent, read by somebody else: through its pins."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import numpy as np
from numpy.typing import NDArray

from benchmarks.processes import BenchError
from undermesh.kernel import bpffs, existing, pins
from undermesh.kernel.maps import Map
from undermesh.kernel.steering import BACKENDS, LOADS, SERVICES, SLOTS, Rows, Steering

TCP = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """Handles on one instance's tables."""

    services: Map
    tables: Steering
    slots: Rows
    backends: Rows

    def entry(self, address: str, port: int) -> NDArray[np.void] | None:
        """What the kernel has for a TCP service; None for nothing."""
        key = np.zeros(1, self.services.spec.key)
        key["address"], key["port"], key["l4"] = mapped(address), port, TCP
        return self.services.lookup(key)

    def count(self) -> int:
        """How many entries there are."""
        return self.services.entries() or 0

    def sent_to(self, address: str, port: int) -> set[tuple[str, int]]:
        """Where connections to a service go: its usable backends, as its slots name them."""
        entry = self.entry(address, port)
        if entry is None:
            return set()
        at, length = int(entry["slots_at"]), int(entry["slots"])
        slots = self.slots[at : at + length]
        numbers = np.unique(np.concatenate([slots["backend"], slots["other"]]))
        rows = self.backends[numbers]
        usable = rows[(rows["service"] == entry["id"]) & (rows["flags"] & 1 == 1)]
        return {(told(row["address"].tobytes()), int(row["port"])) for row in usable}


@contextlib.contextmanager
def pinned(instance: str) -> Iterator[Pinned]:
    """The tables of an instance. Raises BenchError when it has none."""
    root = pins.root_of(bpffs.DEFAULT, instance)
    found = pins.versions(root)
    if not found:
        raise BenchError(f"nothing is pinned in {root}")
    directory = root / f"v{found[-1]}" / "maps"
    with contextlib.ExitStack() as stack:
        maps: dict[str, Map] = {}
        for name in (SERVICES, SLOTS, BACKENDS, LOADS):
            descriptor = pins.open_pin(directory / name)
            if descriptor is None:
                raise BenchError(f"{directory / name} is not there")
            maps[name] = stack.enter_context(existing.open_map(descriptor, name=name))
        tables = stack.enter_context(Steering(maps))
        held = tables.actual()
        yield Pinned(
            services=maps[SERVICES], tables=tables, slots=held.slots, backends=held.backends
        )


def mapped(address: str) -> NDArray[np.uint8]:
    """An address as the kernel's tables have it: IPv4 in IPv6."""
    parsed = ip_address(address)
    raw = parsed.packed if parsed.version == 6 else bytes(10) + b"\xff\xff" + parsed.packed
    return np.frombuffer(raw, "u1")


def told(raw: bytes) -> str:
    """The other way round; numpy cuts zeroes off the end."""
    address = IPv6Address(raw.ljust(16, b"\0"))
    four: IPv4Address | None = address.ipv4_mapped
    return str(four if four is not None else address)
