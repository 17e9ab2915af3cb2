# SPDX-License-Identifier: Apache-2.0
"""GET /v1/drops."""

from msgspec import Struct

from undermesh.model.drop import Drop, Endpoint
from undermesh.wire import SCHEMA
from undermesh.wire.times import Clock


class DropRow(Struct, kw_only=True):
    """Packets dropped for one reason. `source` and `destination` are of the last one."""

    node: str = ""
    reason: str
    packets: int = 0
    bytes: int = 0
    workload: str | None = None
    workload_namespace: str = ""
    protocol: str = ""
    port: int = 0
    last: str = ""
    source: str = ""
    destination: str = ""


class Drops(Struct, kw_only=True):
    """Most packets first."""

    schema: int = SCHEMA
    drops: list[DropRow]


def row(drop: Drop, clock: Clock) -> DropRow:
    """A drop as it goes out."""
    return DropRow(
        node=drop.node,
        reason=drop.reason,
        packets=drop.packets,
        bytes=drop.bytes,
        workload=drop.workload.name if drop.workload else None,
        workload_namespace=drop.workload.namespace if drop.workload else "",
        protocol=drop.protocol,
        port=drop.port,
        last=clock.iso(drop.last_ns),
        source=_endpoint(drop.source),
        destination=_endpoint(drop.destination),
    )


def _endpoint(endpoint: Endpoint | None) -> str:
    """ADDRESS:PORT, [ADDRESS]:PORT for IPv6, the bare address where there is no port."""
    if endpoint is None:
        return ""
    if not endpoint.port:
        return str(endpoint.address)
    if endpoint.address.version == 6:
        return f"[{endpoint.address}]:{endpoint.port}"
    return f"{endpoint.address}:{endpoint.port}"
