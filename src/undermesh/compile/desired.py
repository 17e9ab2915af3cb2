# SPDX-License-Identifier: Apache-2.0
"""What the kernel is to hold, and what names are to answer, for every service.

Columns are named as the fields of bpf/abi/service.h, so that the kernel's edge copies them by name;
the layouts themselves come from BTF and are not repeated here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum, IntFlag
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from undermesh.model.service import (
    Address,
    Balancing,
    Netns,
    ServiceId,
    ServiceName,
    ServicePort,
)

if TYPE_CHECKING:
    from undermesh.compile.world import World

KEY_FIELDS: list[tuple[str, object]] = [
    ("address", np.uint8, 16),  # type: ignore[list-item]
    ("netns", np.uint64),
    ("port", np.uint16),
    ("l4", np.uint8),
]

KEY = np.dtype(KEY_FIELDS)
"""um_service_key, without padding: equal keys have equal bytes."""

FRONT = np.dtype(
    [
        *KEY_FIELDS,
        ("id", np.uint32),
        ("flags", np.uint32),
        ("affinity_s", np.uint32),
        ("balancing", np.uint8),
        ("table", np.int32),
    ]
)
"""One address and port of a service. `table` is an index into `Shard.tables`, -1: refused."""

BACKEND = np.dtype(
    [
        ("address", np.uint8, 16),
        ("netns", np.uint64),
        ("port", np.uint16),
        ("service", np.uint32),
        ("flags", np.uint8),
        ("life", np.uint8),
    ]
)
"""um_backend, and `life` (class Life), which is not the kernel's. The first four identify it."""

SLOT = np.dtype([("backend", np.uint32), ("other", np.uint32), ("threshold", np.uint32)])
"""um_slot. In a shard `backend` and `other` are indices into the shard's backends."""

TABLE = np.dtype([("at", np.uint32), ("slots", np.uint32)])
"""A table is a span of the shard's slots."""


class ServiceFlag(IntFlag):
    """UM_SERVICE_*."""

    BY_NETNS = 1
    REFUSED = 2
    FASTPATH = 4


class BackendFlag(IntFlag):
    """UM_BACKEND_*."""

    USABLE = 1


class Life(IntEnum):
    """What becomes of the connections that a backend has."""

    WELL = 0
    """It is used, or is just left out for a while: they go on."""
    DRAINING = 1
    """They go on until the drain time-out."""
    DEAD = 2
    """UDP sockets connected to it are reset now; TCP finds out by itself."""


BALANCING: Mapping[Balancing, int] = MappingProxyType(
    {
        Balancing.RANDOM: 0,
        Balancing.MAGLEV: 1,
        Balancing.LEAST_LOADED: 2,
        Balancing.LEAST_LATENCY: 3,
    }
)
"""enum um_balancing."""

L4 = MappingProxyType({"tcp": 6, "udp": 17})
"""IPPROTO_*."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A front that refuses every connection, and why: what `explain` says of it."""

    port: ServicePort
    address: Address
    netns: Netns
    why: str

    def __str__(self) -> str:
        return f"{self.address} port {self.port.port}/{self.port.transport}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shard:
    """All of one service. Arrays are read-only; equal contents have equal `content()`."""

    id: ServiceId
    name: ServiceName
    fronts: NDArray[np.void]
    backends: NDArray[np.void]
    slots: NDArray[np.void]
    tables: NDArray[np.void]
    drain: timedelta
    refused: tuple[Refusal, ...] = ()

    def content(self) -> tuple[object, ...]:
        """Everything in it, to compare."""
        arrays = (self.fronts, self.backends, self.slots, self.tables)
        return (self.id, self.name, self.drain, self.refused, *(a.tobytes() for a in arrays))


def joined(arrays: Iterable[NDArray[np.void]], dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Arrays of one dtype one after another, read-only. Bytes are joined: numpy would go through
    the fields of each array, which takes longer than all the copying when arrays are many."""
    return np.frombuffer(b"".join(arrays), dtype)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class NameEntry:
    """What a service's name answers with.

    `addresses` are the service's own; `endpoints` stand for it where it is headless: address and,
    for each of `ports` in order, the port there (0: this endpoint has none). `external`: the name
    is only another one; the last of the chain.
    """

    service: ServiceName
    addresses: tuple[Address, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    endpoints: tuple[tuple[Address, tuple[int, ...]], ...] = ()
    external: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What is to be. `problems` are sentences on what could not be had, by service.

    `world` is what it was compiled from: the next compilation reuses what did not change.
    """

    shards: Mapping[ServiceId, Shard]
    names: Mapping[ServiceName, NameEntry]
    problems: Mapping[ServiceName, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    world: "World | None" = None


NOTHING = Desired(shards=MappingProxyType({}), names=MappingProxyType({}))
