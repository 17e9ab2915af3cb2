# SPDX-License-Identifier: Apache-2.0
"""How much the kernel maps hold."""

from dataclasses import dataclass, field

from undermesh.config import kinds
from undermesh.config.settings import says

_ENTRIES = kinds.whole(16, 1 << 22)
_RING = kinds.whole(4096, 1 << 28, power_of_two=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSizes:
    """How much each kernel map holds: entries, or bytes for a ring.

    Hash maps take memory as they fill, so the figures are limits. The defaults keep all maps
    within 60 MB when full, and equal those compiled into the eBPF objects.
    """

    series: int = field(
        default=4096,
        metadata=says("Request series with a histogram each, 5.8 KB an entry.", _ENTRIES),
    )
    edges: int = field(
        default=16384,
        metadata=says("Pairs of workloads with their port and protocol, 0.3 KB each.", _ENTRIES),
    )
    owners: int = field(
        default=16384, metadata=says("Executables in cgroups that own sockets.", _ENTRIES)
    )
    peers: int = field(
        default=16384, metadata=says("External addresses with a name of their own.", _ENTRIES)
    )
    udp: int = field(default=65536, metadata=says("UDP conversations under way.", _ENTRIES))
    cgroups: int = field(default=16384, metadata=says("Cgroups known by path.", _ENTRIES))
    listeners: int = field(default=16384, metadata=says("Listening TCP ports.", _ENTRIES))
    pairs: int = field(
        default=65536, metadata=says("Open TCP connections with both ends on this host.", _ENTRIES)
    )
    drops: int = field(
        default=2048, metadata=says("Reasons, ports and owners of dropped packets.", _ENTRIES)
    )
    flows_bytes: int = field(
        default=4 << 20, metadata=says("Ring of ended connections, in bytes.", _RING)
    )
    samples_bytes: int = field(
        default=512 << 10, metadata=says("Ring of sampled requests, in bytes.", _RING)
    )
    answers_bytes: int = field(
        default=512 << 10, metadata=says("Ring of DNS answers, in bytes.", _RING)
    )
    processes_bytes: int = field(
        default=512 << 10, metadata=says("Ring of process starts and ends, in bytes.", _RING)
    )

    def entries(self) -> dict[str, int]:
        """`max_entries` by map name ("um_series"), rings included."""
        return {
            f"um_{name.removesuffix('_bytes')}": getattr(self, name)
            for name in self.__dataclass_fields__
        }
