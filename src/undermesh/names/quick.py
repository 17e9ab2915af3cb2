# SPDX-License-Identifier: Apache-2.0
"""The short way: queries for addresses of services, by hand. Pure; no input raises."""

from collections.abc import Sequence

from undermesh.model.service import Address
from undermesh.names import wire
from undermesh.names.zone import Zone

_A, _AAAA = b"\0\x01\0\x01", b"\0\x1c\0\x01"


class Quick:
    """Address queries for services with addresses of their own, answered from ready-made bytes."""

    _SUFFIXES = (b"\x03svc\x04mesh\0", b"\x03svc\x07cluster\x05local\0", b"\x03svc\0")

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._ready: dict[bytes, tuple[bytes, bytes] | None] = {}

    def answer(self, data: bytes, home: bytes) -> bytes | None:
        """The answer to a datagram; None when it takes the long way. `home` is a wire label."""
        if len(data) < 17:
            return None
        end = data.find(b"\0", 12) + 1
        kind = data[end : end + 4]
        tail = data[end + 4 :]
        if data[2:10] != b"\x01\0\0\x01\0\0\0\0" and data[2:10] != b"\x01\x20\0\x01\0\0\0\0":
            return None
        if tail and (tail[:3] != b"\0\0\x29" or tail[6:7] != b"\0" or tail[9:11] != b"\0\0"):
            return None
        if len(tail) != (11 if data[11] == 1 else 0) or data[10] or data[11] > 1:
            return None
        if kind == _A:
            wanted = 0
        elif kind == _AAAA:
            wanted = 1
        else:
            return None
        ready = self._find(data[12:end].lower(), home)
        if ready is None or not ready[wanted]:
            return None
        records = ready[wanted]
        head = data[:2] + b"\x85\x80\0\x01" + (len(records) // (16, 28)[wanted]).to_bytes(2, "big")
        whole = head + b"\0\0\0" + data[11:12] + data[12 : end + 4] + records
        if tail:
            whole += wire.OPT
        return whole if len(whole) <= wire.PLAIN_LIMIT else None

    def _find(self, name: bytes, home: bytes) -> tuple[bytes, bytes] | None:
        for suffix in self._SUFFIXES:
            if name.endswith(suffix):
                key = name[: -len(suffix)]
                break
        else:
            key = name[:-1]
            if key and key[0] + 1 == len(key):
                key += home
        try:
            return self._ready[key]
        except KeyError:
            return self._make(key)

    def _make(self, key: bytes) -> tuple[bytes, bytes] | None:
        """Kept also when there is no such service, as long as that is not somebody's flood."""
        labels, end = wire.labels_of(bytes(12) + key + b"\0")
        entry = self._zone.find(labels[1], labels[0]) if end and len(labels) == 2 else None
        ready = None
        if entry is not None and not entry.external and entry.addresses:
            ready = (_records(entry.addresses, 4), _records(entry.addresses, 6))
        if ready is not None or len(self._ready) < 65536:
            self._ready[key] = ready
        return ready


def _records(addresses: Sequence[Address], version: int) -> bytes:
    """Address records of the question's name, which a pointer to offset 12 stands for."""
    fixed = b"\xc0\x0c" + (_A if version == 4 else _AAAA) + wire.TTL.to_bytes(4, "big")
    size = b"\0\x04" if version == 4 else b"\0\x10"
    return b"".join(fixed + size + a.packed for a in addresses if a.version == version)
