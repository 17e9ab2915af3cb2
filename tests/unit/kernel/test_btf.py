# SPDX-License-Identifier: Apache-2.0
"""BTF blobs, made by hand so that every kind of type is met."""

import struct

import numpy as np
import pytest

from undermesh.kernel import errors
from undermesh.kernel.btf import Btf, Kind


class Blob:
    """Builds BTF: each method returns the id of the type it adds."""

    def __init__(self) -> None:
        self.types: list[bytes] = []
        self.strings = b"\0"

    def text(self, name: str) -> int:
        if not name:
            return 0
        offset = len(self.strings)
        self.strings += name.encode() + b"\0"
        return offset

    def add(self, kind: Kind, name: str, size: int, tail: bytes = b"", *, vlen=0, flag=0) -> int:
        info = flag << 31 | int(kind) << 24 | vlen
        self.types.append(struct.pack("<III", self.text(name), info, size) + tail)
        return len(self.types)

    def number(self, name: str, size: int, *, encoding: int = 0) -> int:
        return self.add(Kind.INT, name, size, struct.pack("<I", encoding << 24 | size * 8))

    def array(self, element: int, count: int) -> int:
        return self.add(Kind.ARRAY, "", 0, struct.pack("<III", element, element, count))

    def struct(
        self, name: str, size: int, *members: tuple[str, int, int], flag=0, kind=Kind.STRUCT
    ):
        tail = b"".join(struct.pack("<III", self.text(n), t, bits) for n, t, bits in members)
        return self.add(kind, name, size, tail, vlen=len(members), flag=flag)

    def enum(self, name: str, shape: str, *values: tuple[str, int], kind=Kind.ENUM, flag=0) -> int:
        tail = b""
        for label, value in values:
            parts = (value & 0xFFFFFFFF, value >> 32) if kind == Kind.ENUM64 else (value,)
            tail += struct.pack(shape, self.text(label), *parts)
        size = 8 if kind == Kind.ENUM64 else 4
        return self.add(kind, name, size, tail, vlen=len(values), flag=flag)

    def done(self) -> Btf:
        types = b"".join(self.types)
        head = struct.pack(
            "<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(self.strings)
        )
        return Btf(head + types + self.strings)


def test_scalars_arrays_and_nested_structs_become_dtypes():
    blob = Blob()
    u64, s16 = blob.number("u64", 8), blob.number("short", 2, encoding=1)
    char, flag = blob.number("char", 1, encoding=1), blob.number("_Bool", 1, encoding=4)
    alias = blob.add(Kind.TYPEDEF, "alias_t", blob.add(Kind.CONST, "", u64))
    inner = blob.struct("inner", 4, ("a", s16, 0), ("b", s16, 16))
    pointer = blob.add(Kind.PTR, "", inner)
    blob.struct(
        "outer",
        64,
        ("big", alias, 0),
        ("name", blob.array(char, 12), 64),
        ("on", flag, 160),
        ("pairs", blob.array(inner, 3), 192),
        ("where", pointer, 320),
        ("matrix", blob.array(blob.array(s16, 3), 2), 384),
    )
    dtype = blob.done().struct("outer")
    assert dtype.itemsize == 64
    assert dtype["big"] == np.dtype("<u8")
    assert dtype["name"] == np.dtype("S12")
    assert dtype["on"] == np.dtype("?")
    assert dtype["pairs"].shape == (3,)
    assert dtype["pairs"].base["b"] == np.dtype("<i2")
    assert dtype["where"] == np.dtype("<u8")
    assert dtype["matrix"].shape == (2, 3)
    assert dtype.fields is not None
    assert dtype.fields["pairs"][1] == 24


def test_unions_overlap():
    blob = Blob()
    u32, u8 = blob.number("u32", 4), blob.number("u8", 1)
    members = (("word", u32, 0), ("bytes", blob.array(u8, 4), 0))
    blob.struct("both", 4, *members, kind=Kind.UNION)
    value = np.zeros(1, blob.done().struct("both"))
    value["word"] = 0x04030201
    assert list(value["bytes"][0]) == [1, 2, 3, 4]


def test_a_bit_field_is_refused_with_its_name():
    blob = Blob()
    u32 = blob.number("u32", 4)
    blob.struct("flags", 4, ("whole", u32, 0), ("part", u32, 3 << 24 | 5), flag=1)
    with pytest.raises(errors.LayoutMismatch, match="part is a bit field"):
        blob.done().struct("flags")


def test_enums_of_either_width_and_sign():
    blob = Blob()
    blob.enum("plain", "<II", ("ONE", 1), ("MANY", 0xFFFFFFFF))
    blob.enum("signed", "<Ii", ("LESS", -2), flag=1)
    blob.enum("wide", "<III", ("FAR", 1 << 40), kind=Kind.ENUM64)
    types = blob.done()
    assert types.enum("plain") == {"ONE": 1, "MANY": 0xFFFFFFFF}
    assert types.enum("signed") == {"LESS": -2}
    assert types.enum("wide") == {"FAR": 1 << 40}


def test_what_is_not_there_is_named():
    types = Blob().done()
    with pytest.raises(errors.NotInObject, match="struct nothing"):
        types.struct("nothing")
    with pytest.raises(errors.NotInObject, match="enum nothing"):
        types.enum("nothing")


def layout(*fields: tuple[str, str, int], size: int = 16, before: int = 0) -> int:
    blob = Blob()
    for i in range(before):  # other ids for the same types
        blob.number(f"filler{i}", 4)
    kinds = {
        "u64": blob.number("u64", 8),
        "u32": blob.number("u32", 4),
        "s32": blob.number("s32", 4, encoding=1),
    }
    kinds["alias"] = blob.add(Kind.TYPEDEF, "alias", kinds["u64"])
    kinds["pair"] = blob.array(kinds["u32"], 2)
    made = blob.struct("thing", size, *((n, kinds[k], at * 8) for n, k, at in fields))
    return blob.done().layout(made)


def test_equal_layouts_hash_equal_wherever_they_come_from():
    fields = (("a", "u64", 0), ("b", "u32", 8))
    assert layout(*fields) == layout(*fields, before=5)
    assert layout(("a", "alias", 0), ("b", "u32", 8)) == layout(*fields)


@pytest.mark.parametrize(
    "other",
    [
        {"fields": (("a", "u64", 0), ("c", "u32", 8))},
        {"fields": (("a", "u64", 0), ("b", "u32", 12))},
        {"fields": (("a", "u64", 0), ("b", "s32", 8))},
        {"fields": (("a", "pair", 0), ("b", "u32", 8))},
        {"fields": (("a", "u64", 0), ("b", "u32", 8)), "size": 24},
        {"fields": (("a", "u64", 0), ("b", "u32", 8), ("n", "u32", 12))},
    ],
)
def test_any_difference_in_layout_changes_the_hash(other):
    fields = other.pop("fields")
    assert layout(*fields, **other) != layout(("a", "u64", 0), ("b", "u32", 8))


def test_sections_tell_where_their_variables_are():
    blob = Blob()
    u32 = blob.number("u32", 4)
    first = blob.add(Kind.VAR, "first", u32, struct.pack("<I", 1))
    second = blob.add(Kind.VAR, "second", u32, struct.pack("<I", 1))
    tail = struct.pack("<IIIIII", first, 0, 4, second, 8, 4)
    section = blob.add(Kind.DATASEC, ".rodata", 12, tail, vlen=2)
    found = [(v.name, v.type_id, v.offset, v.size) for v in blob.done().variables(section)]
    assert found == [("first", u32, 0, 4), ("second", u32, 8, 4)]


def test_parameters_of_a_function_pointer_typedef_are_counted():
    blob = Blob()
    u32 = blob.number("u32", 4)
    prototype = blob.add(Kind.FUNC_PROTO, "", 0, struct.pack("<IIIIII", *[0, u32] * 3), vlen=3)
    pointer = blob.add(Kind.PTR, "", prototype)
    alias = blob.add(Kind.TYPEDEF, "callback_t", pointer)
    assert blob.done().parameters(alias) == 3


@pytest.mark.parametrize("raw", [b"", b"\0" * 24, b"\xeb\x9f" + b"\0" * 22])
def test_what_is_no_btf_is_refused(raw):
    with pytest.raises(errors.LayoutMismatch, match="not little-endian BTF"):
        Btf(raw)
