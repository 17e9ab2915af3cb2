# SPDX-License-Identifier: Apache-2.0
"""BTF, the type information inside compiled objects and the kernel, as numpy dtypes and enums.

C structs cross into Python here and nowhere else. Format: Documentation/bpf/btf.rst of the kernel.
Only what is asked for is decoded; bit fields are refused, they do not belong in a shared struct.
"""

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from undermesh.kernel import errors

MAGIC = 0xEB9F


class Kind(IntEnum):
    """enum of BTF_KIND_* values (<linux/btf.h>)."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


_ALIASES = (Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG)
# Bytes that follow the 12-byte type header: (fixed, per `vlen`).
_TAIL = {
    Kind.INT: (4, 0),
    Kind.ARRAY: (12, 0),
    Kind.STRUCT: (0, 12),
    Kind.UNION: (0, 12),
    Kind.ENUM: (0, 8),
    Kind.FUNC_PROTO: (0, 8),
    Kind.VAR: (4, 0),
    Kind.DATASEC: (0, 12),
    Kind.DECL_TAG: (4, 0),
    Kind.ENUM64: (0, 12),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One field of a struct or union; `offset` in bytes."""

    name: str
    type_id: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A global variable of a data section: where in the section, how long, of which type."""

    name: str
    type_id: int
    offset: int
    size: int


class Btf:
    """A parsed BTF blob. Type 0 is void."""

    __slots__ = ("_dtypes", "_names", "_offsets", "_raw", "_strings")

    def __init__(self, raw: bytes) -> None:
        """Indexes the types of `raw`. Raises LayoutMismatch when it is not little-endian BTF."""
        if len(raw) < 24 or struct.unpack_from("<H", raw)[0] != MAGIC:
            raise errors.LayoutMismatch("reading BTF", answer="this is not little-endian BTF")
        _, _, _, head, type_off, type_len, str_off, str_len = struct.unpack_from("<HBBIIIII", raw)
        self._raw = raw
        self._strings = raw[head + str_off : head + str_off + str_len]
        self._offsets = [0]
        self._names: dict[tuple[Kind, str], int] = {}
        self._dtypes: dict[int, np.dtype] = {}
        position, end = head + type_off, head + type_off + type_len
        while position < end:
            name, info, _ = struct.unpack_from("<III", raw, position)
            fixed, each = _TAIL.get(kind := Kind(info >> 24 & 0x1F), (0, 0))
            if name:
                self._names.setdefault((kind, self._string(name)), len(self._offsets))
            self._offsets.append(position)
            position += 12 + fixed + each * (info & 0xFFFF)

    def __len__(self) -> int:
        return len(self._offsets)

    def find(self, name: str, *kinds: Kind) -> int | None:
        """The id of the named type of one of `kinds`."""
        return next((i for kind in kinds if (i := self._names.get((kind, name)))), None)

    def kind(self, type_id: int) -> Kind:
        """What sort of type it is."""
        return Kind(self._header(type_id)[1] >> 24 & 0x1F) if type_id else Kind.VOID

    def name(self, type_id: int) -> str:
        """Its name, "" when it has none."""
        return self._string(self._header(type_id)[0]) if type_id else "void"

    def resolve(self, type_id: int) -> int:
        """The type behind typedefs and qualifiers."""
        while self.kind(type_id) in _ALIASES:
            type_id = self._header(type_id)[2]
        return type_id

    def members(self, type_id: int) -> Iterator[Member]:
        """Fields of a struct or union. Raises LayoutMismatch at a bit field."""
        bits_encoded = bool(self._header(type_id)[1] >> 31)
        for name, member, offset in self._tail(type_id, "<III"):
            if bits_encoded and offset >> 24:
                raise errors.LayoutMismatch(
                    f"reading the layout of {self.name(type_id)}",
                    answer=f"{self._string(name)} is a bit field; shared structs have none",
                )
            bit = offset & 0xFFFFFF if bits_encoded else offset
            yield Member(name=self._string(name), type_id=member, offset=bit // 8)

    def variables(self, section_id: int) -> Iterator[Variable]:
        """Variables of a data section (.rodata, .bss)."""
        for var, offset, size in self._tail(section_id, "<III"):
            yield Variable(
                name=self.name(var), type_id=self._header(var)[2], offset=offset, size=size
            )

    def parameters(self, type_id: int) -> int:
        """How many parameters the function prototype behind a pointer or typedef has."""
        type_id = self.resolve(type_id)
        while self.kind(type_id) == Kind.PTR:
            type_id = self.resolve(self._header(type_id)[2])
        return self._header(type_id)[1] & 0xFFFF

    def size(self, type_id: int) -> int:
        """Bytes of one value."""
        type_id = self.resolve(type_id)
        kind = self.kind(type_id)
        if kind == Kind.PTR:
            return 8
        if kind == Kind.ARRAY:
            element, count = self._array(type_id)
            return count * self.size(element)
        return int(self._header(type_id)[2])

    def struct(self, name: str) -> np.dtype:
        """The dtype of `struct name` (or union, or a typedef of one). Raises NotInObject."""
        type_id = self.find(name, Kind.STRUCT, Kind.UNION, Kind.TYPEDEF)
        if type_id is None:
            raise errors.NotInObject(
                f"looking up struct {name}",
                answer="the object's BTF does not have it",
                advice="declare a variable of that type so that clang keeps it",
            )
        return self.dtype(type_id)

    def enum(self, name: str) -> Mapping[str, int]:
        """The values of `enum name` by enumerator. Raises NotInObject."""
        type_id = self.find(name, Kind.ENUM, Kind.ENUM64)
        if type_id is None:
            raise errors.NotInObject(
                f"looking up enum {name}", answer="the object's BTF does not have it"
            )
        signed = bool(self._header(type_id)[1] >> 31)
        if self.kind(type_id) == Kind.ENUM:
            shape = "<Ii" if signed else "<II"
            return {self._string(label): value for label, value in self._tail(type_id, shape)}
        wide = {}
        for label, low, high in self._tail(type_id, "<IIi" if signed else "<III"):
            wide[self._string(label)] = low | high << 32
        return wide

    def dtype(self, type_id: int) -> np.dtype:
        """The numpy dtype with the C layout. char[N] is `S<N>`, other arrays are sub-arrays."""
        type_id = self.resolve(type_id)
        if type_id not in self._dtypes:
            self._dtypes[type_id] = self._make_dtype(type_id)
        return self._dtypes[type_id]

    def layout(self, type_id: int) -> int:
        """A stable 64-bit hash of the recursive layout: names, offsets, sizes, signedness.

        Equal for equal layouts whatever object they come from; 0 for no type at all.
        """
        if not type_id:
            return 0
        digest = hashlib.blake2b(self._describe(type_id).encode(), digest_size=8)
        return int.from_bytes(digest.digest(), "little")

    def _make_dtype(self, type_id: int) -> np.dtype:
        kind, size = self.kind(type_id), self.size(type_id)
        if kind == Kind.INT:
            encoding = self._tail_word(type_id) >> 24 & 0xF
            return np.dtype("?" if encoding & 4 else f"<{'i' if encoding & 1 else 'u'}{size}")
        if kind in (Kind.ENUM, Kind.ENUM64):
            return np.dtype(f"<{'i' if self._header(type_id)[1] >> 31 else 'u'}{size}")
        if kind == Kind.PTR:
            return np.dtype("<u8")
        if kind == Kind.FLOAT:
            return np.dtype(f"<f{size}")
        if kind == Kind.ARRAY:
            element, count = self._array(type_id)
            if self.name(self.resolve(element)) == "char":
                return np.dtype(f"S{count}")
            each = self.dtype(element)
            base, shape = each.subdtype or (each, ())
            return np.dtype((base, (count, *shape)))
        if kind in (Kind.STRUCT, Kind.UNION):
            return self._struct_dtype(type_id, size)
        raise errors.LayoutMismatch(
            f"reading the layout of {self.name(type_id) or type_id}",
            answer=f"{kind.name} has no place in a shared struct",
        )

    def _struct_dtype(self, type_id: int, size: int) -> np.dtype:
        members = list(self.members(type_id))
        return np.dtype(
            {
                "names": [m.name or f"anonymous{i}" for i, m in enumerate(members)],
                "formats": [self.dtype(m.type_id) for m in members],
                "offsets": [m.offset for m in members],
                "itemsize": size,
            }
        )

    def _describe(self, type_id: int) -> str:
        type_id = self.resolve(type_id)
        kind = self.kind(type_id)
        if kind == Kind.ARRAY:
            element, count = self._array(type_id)
            return f"[{count}]{self._describe(element)}"
        if kind in (Kind.STRUCT, Kind.UNION):
            fields = (
                f"{m.name}@{m.offset}:{self._describe(m.type_id)}" for m in self.members(type_id)
            )
            return f"{kind.name}{self.size(type_id)}({','.join(fields)})"
        return self.dtype(type_id).str

    def _header(self, type_id: int) -> tuple[int, int, int]:
        name, info, size = struct.unpack_from("<III", self._raw, self._offsets[type_id])
        return name, info, size

    def _tail(self, type_id: int, shape: str) -> Iterator[tuple[int, ...]]:
        start = self._offsets[type_id] + 12
        count = self._header(type_id)[1] & 0xFFFF
        end = start + count * struct.calcsize(shape)
        return struct.iter_unpack(shape, memoryview(self._raw)[start:end])

    def _tail_word(self, type_id: int) -> int:
        word: int = struct.unpack_from("<I", self._raw, self._offsets[type_id] + 12)[0]
        return word

    def _array(self, type_id: int) -> tuple[int, int]:
        element, _, count = struct.unpack_from("<III", self._raw, self._offsets[type_id] + 12)
        return element, count

    def _string(self, offset: int) -> str:
        return self._strings[offset : self._strings.index(b"\0", offset)].decode()
