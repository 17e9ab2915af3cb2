# SPDX-License-Identifier: Apache-2.0
"""A data plane over one cgroup, and services straight into its tables."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np

from benchmarks import processes
from undermesh import host
from undermesh.kernel import bpffs, plane
from undermesh.kernel.plane import Options, Plane
from undermesh.kernel.steering import Steering

PORT = 80
SLOTS = 3
_FIRST = int(IPv4Address("198.18.0.1"))
_USABLE, _TCP, _EVENLY = 1, 6, 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A data plane with everything on, over what runs in `scope`."""

    plane: Plane
    scope: Path

    def load(self, services: int, *, backends: int, ports: Sequence[int]) -> None:
        """Exactly `services`, each with so many backends of its own and three slots: number n's
        backends are on 127.0.0.1, at `ports` in turn."""
        with Steering(self.plane.maps) as tables:
            tables.delete_services(tables.actual().services)
            ids = np.arange(1, services + 1, dtype=np.uint32)
            numbers = np.arange(1, services * backends + 1, dtype=np.uint32)
            tables.put_backends(numbers, _backends(numbers, backends, ports))
            tables.put_slots(0, _slots(services, backends))
            tables.put_services(_services(ids))


def address(number: int) -> str:
    """A service's address."""
    return str(IPv4Address(_FIRST + number))


@contextlib.contextmanager
def started() -> Iterator[Loaded]:
    """The plane; out of the kernel again with the block."""
    root, name = host.find_cgroup2(), f"bench-{os.getpid()}"
    with processes.own_cgroup(root) as scope:
        try:
            with Plane.start(options=Options(cgroup_root=root, instance=name, scope=scope)) as up:
                yield Loaded(plane=up, scope=scope)
        finally:
            plane.remove(bpffs=bpffs.DEFAULT, instance=name)


def _mapped(addresses: np.ndarray) -> np.ndarray:
    """IPv4 addresses as rows of 16 bytes."""
    rows = np.zeros((len(addresses), 16), np.uint8)
    rows[:, 10:12] = 0xFF
    rows[:, 12:] = addresses.astype(">u4").view(np.uint8).reshape(-1, 4)
    return rows


def _backends(numbers: np.ndarray, each: int, ports: Sequence[int]) -> np.ndarray:
    fields = [("address", np.uint8, 16), ("port", np.uint16), ("flags", np.uint8)]
    rows = np.zeros(len(numbers), [*fields, ("service", np.uint32)])
    rows["address"] = _mapped(np.full(len(numbers), int(IPv4Address("127.0.0.1"))))
    rows["port"] = np.asarray(ports, np.uint16)[(numbers - 1) % len(ports)]
    rows["flags"] = _USABLE
    rows["service"] = (numbers - 1) // each + 1
    return rows


def _slots(services: int, each: int) -> np.ndarray:
    at = np.arange(services * SLOTS)
    fields = [("backend", np.uint32), ("other", np.uint32), ("threshold", np.uint32)]
    rows = np.zeros(len(at), fields)
    rows["backend"] = rows["other"] = at // SLOTS * each + at % SLOTS % each + 1
    rows["threshold"] = _EVENLY
    return rows


def _services(ids: np.ndarray) -> np.ndarray:
    rows = np.zeros(
        len(ids),
        [
            ("address", np.uint8, 16),
            ("port", np.uint16),
            ("l4", np.uint8),
            ("id", np.uint32),
            ("slots_at", np.uint32),
            ("slots", np.uint32),
        ],
    )
    rows["address"] = _mapped(_FIRST + ids.astype(np.int64) - 1)
    rows["port"], rows["l4"] = PORT, _TCP
    rows["id"], rows["slots_at"], rows["slots"] = ids, (ids - 1) * SLOTS, SLOTS
    return rows
