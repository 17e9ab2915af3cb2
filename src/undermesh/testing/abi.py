# SPDX-License-Identifier: Apache-2.0
"""The kernel structs and enums of the built objects, without loading anything into a kernel."""

import struct
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np

from undermesh.kernel.btf import Btf, Kind

OBJECTS = Path(__file__).parent.parent / "bpf_objects"


class NotBuilt(Exception):
    """There are no compiled objects."""

    def __init__(self) -> None:
        super().__init__(f"no compiled eBPF objects in {OBJECTS}: build them with ./run build")


@cache
def types() -> tuple[Btf, ...]:
    """BTF of every built object. Raises NotBuilt."""
    found = tuple(
        Btf(_section(path.read_bytes(), b".BTF")) for path in sorted(OBJECTS.glob("*.bpf.o"))
    )
    if not found:
        raise NotBuilt
    return found


def dtype(name: str) -> np.dtype[np.void]:
    """The dtype of a struct. Raises KeyError."""
    for known in types():
        if known.find(name, Kind.STRUCT) is not None:
            return known.struct(name)
    raise KeyError(name)


def enum(name: str) -> Mapping[str, int]:
    """The constants of an enumeration. Raises KeyError."""
    for known in types():
        if known.find(name, Kind.ENUM) is not None:
            return known.enum(name)
    raise KeyError(name)


def _section(raw: bytes, wanted: bytes) -> bytes:
    """A section of an ELF64 little-endian object (elf(5))."""
    for name, offset, size in _sections(raw):
        if name == wanted:
            return raw[offset : offset + size]
    raise KeyError(wanted)


def _sections(raw: bytes) -> Iterator[tuple[bytes, int, int]]:
    (table,) = struct.unpack_from("<Q", raw, 40)
    each, count, names = struct.unpack_from("<HHH", raw, 58)
    headers = [struct.unpack_from("<IIQQQQ", raw, table + each * i) for i in range(count)]
    strings = headers[names][4]
    for header in headers:
        start = strings + header[0]
        yield raw[start : raw.index(b"\0", start)], header[4], header[5]
