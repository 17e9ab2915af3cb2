# SPDX-License-Identifier: Apache-2.0
"""um_drops → rows, and what is kept of the drops of workloads that are gone."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undermesh.model.drop import Drop, Endpoint
from undermesh.model.edge import End, EndKind
from undermesh.model.workload import NodeId
from undermesh.telemetry.flows import address
from undermesh.telemetry.growth import Column, Layout, Structured
from undermesh.telemetry.kept import gone
from undermesh.telemetry.names import Names

DROPS = Layout(columns=(Column("packets"), Column("bytes")), bins=False)
KEPT_FIELDS = ("packets", "bytes", "last_ns")

_TRANSPORTS = {0: "", 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}


@dataclass(frozen=True, slots=True, order=True)
class DropKey:
    """A row kept of what is gone: reason, transport, and the namespace of who is gone."""

    reason: str
    protocol: str
    namespace: str


class DropReader:
    """Turns entries into rows. `reasons` is the running kernel's enum skb_drop_reason."""

    def __init__(self, *, reasons: Mapping[int, str], names: Names, node: NodeId) -> None:
        self._reasons = reasons
        self._names = names
        self._node = node

    def read(self, keys: Structured, values: Structured) -> list[Drop]:
        """One row per entry, in their order."""
        return [self._drop(key, value) for key, value in zip(keys, values, strict=True)]

    def kept(self, totals: Mapping[DropKey, NDArray[np.int64]]) -> list[Drop]:
        """Rows of workloads that are gone."""
        return [
            Drop(
                node=self._node,
                reason=key.reason,
                workload=gone(key.namespace) if key.namespace else None,
                protocol=key.protocol,
                port=0,
                packets=int(sums[0]),
                bytes=int(sums[1]),
                last_ns=int(sums[2]),
                source=None,
                destination=None,
            )
            for key, sums in totals.items()
        ]

    def key(self, key: np.void) -> DropKey:
        """Where an entry's counters go once it leaves the kernel."""
        end = self._names.end(int(key["owner"]))
        return DropKey(self._reason(key), self._protocol(key), end.namespace)

    def _drop(self, key: np.void, value: np.void) -> Drop:
        return Drop(
            node=self._node,
            reason=self._reason(key),
            workload=self._workload(int(key["owner"])),
            protocol=self._protocol(key),
            port=int(key["port"]),
            packets=int(value["packets"]),
            bytes=int(value["bytes"]),
            last_ns=int(value["last_ns"]),
            source=_endpoint(value["source"], int(value["source_port"])),
            destination=_endpoint(value["destination"], int(value["destination_port"])),
        )

    def _reason(self, key: np.void) -> str:
        number = int(key["reason"])
        return self._reasons.get(number, f"REASON_{number}")

    def _protocol(self, key: np.void) -> str:
        return _TRANSPORTS.get(int(key["l4"]), f"ip-{int(key['l4'])}")

    def _workload(self, owner: int) -> End | None:
        end = self._names.end(owner)
        return end if end.kind in (EndKind.WORKLOAD, EndKind.GONE) else None


def _endpoint(octets: NDArray[np.uint8], port: int) -> Endpoint | None:
    """None for all zeros: the packet was not IP."""
    return Endpoint(address=address(octets), port=port) if octets.any() else None
