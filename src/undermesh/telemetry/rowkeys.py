# SPDX-License-Identifier: Apache-2.0
"""Row names as bytes, for a ledger that outlives the agent.

MessagePack arrays; elements are only ever appended.
"""

import msgspec

from undermesh.model.edge import EdgeKey, End, EndKind
from undermesh.model.protocol import Protocol
from undermesh.telemetry.drops import DropKey
from undermesh.telemetry.naming import SeriesKey

_Edge = tuple[str, str, str, str, str, str, int, str]
_Series = tuple[str, str, str, str, str, str, int, str, str, int]


def encode_edge(key: EdgeKey) -> bytes:
    """An edge row's name."""
    return msgspec.msgpack.encode(_parts(key))


def decode_edge(encoded: bytes) -> EdgeKey:
    """The inverse. Raises ValueError for what `encode_edge` did not write."""
    return _edge(msgspec.msgpack.decode(encoded, type=_Edge))


def encode_series(key: SeriesKey) -> bytes:
    """A series' name."""
    return msgspec.msgpack.encode((*_parts(key.edge), key.method, key.status))


def decode_series(encoded: bytes) -> SeriesKey:
    """The inverse. Raises ValueError for what `encode_series` did not write."""
    parts = msgspec.msgpack.decode(encoded, type=_Series)
    return SeriesKey(_edge(parts[:8]), parts[8], parts[9])


def encode_drop(key: DropKey) -> bytes:
    """A drop row's name."""
    return msgspec.msgpack.encode((key.reason, key.protocol, key.namespace))


def decode_drop(encoded: bytes) -> DropKey:
    """The inverse. Raises ValueError for what `encode_drop` did not write."""
    return DropKey(*msgspec.msgpack.decode(encoded, type=tuple[str, str, str]))


def _parts(key: EdgeKey) -> _Edge:
    client, server = key.client, key.server
    return (
        client.kind.value,
        client.namespace,
        client.name,
        server.kind.value,
        server.namespace,
        server.name,
        key.port,
        key.protocol.value,
    )


def _edge(parts: _Edge) -> EdgeKey:
    return EdgeKey(
        End(EndKind(parts[0]), parts[1], parts[2]),
        End(EndKind(parts[3]), parts[4], parts[5]),
        parts[6],
        Protocol(parts[7]),
    )
