# SPDX-License-Identifier: Apache-2.0
"""What an opened object declares, out of libbpf's structs into ours; and its constants."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from undermesh.kernel import errors, libbpf
from undermesh.kernel.btf import Btf
from undermesh.kernel.kinds import MapType
from undermesh.kernel.libbpf import ffi, lib
from undermesh.kernel.maps import MapSpec
from undermesh.kernel.programs import ProgramSpec

Value = Mapping[str, object] | np.ndarray | np.generic | int | float | bytes
"""A constant's value: a struct's fields by name, or anything numpy can assign to its dtype."""


def each_map(pointer: Any) -> Iterator[Any]:
    """libbpf's maps of an object."""
    yield from _each(lib().bpf_object__next_map, pointer)


def each_program(pointer: Any) -> Iterator[Any]:
    """libbpf's programs of an object."""
    yield from _each(lib().bpf_object__next_program, pointer)


def of_program(pointer: Any) -> ProgramSpec:
    """A libbpf program as we know it."""
    return ProgramSpec(
        name=libbpf.text(lib().bpf_program__name(pointer)),
        section=libbpf.text(lib().bpf_program__section_name(pointer)),
        type=int(lib().bpf_program__type(pointer)),
        attach_type=int(lib().bpf_program__expected_attach_type(pointer)),
    )


def of_map(pointer: Any, btf: Btf) -> MapSpec:
    """A libbpf map as we know it. The compiler's sections (.rodata, .bss) are bytes to us."""
    key_id = int(lib().bpf_map__btf_key_type_id(pointer))
    value_id = int(lib().bpf_map__btf_value_type_id(pointer))
    key_size = int(lib().bpf_map__key_size(pointer))
    value_size = int(lib().bpf_map__value_size(pointer))
    if lib().bpf_map__is_internal(pointer):
        key_id = value_id = 0
    return MapSpec(
        name=libbpf.text(lib().bpf_map__name(pointer)),
        type=MapType(int(lib().bpf_map__type(pointer))),
        key_size=key_size,
        value_size=value_size,
        max_entries=int(lib().bpf_map__max_entries(pointer)),
        flags=int(lib().bpf_map__map_flags(pointer)),
        key=btf.dtype(key_id) if key_id else _plain(key_size),
        value=btf.dtype(value_id) if value_id else _plain(value_size),
        layout=combine(btf.layout(key_id), btf.layout(value_id), key_size, value_size),
    )


def combine(*parts: object) -> int:
    """One 64-bit hash of numbers, texts and tuples of them, the same in every process."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


def set_variables(pointer: Any, btf: Btf, left: dict[str, Value]) -> None:
    """Writes the constants of one .rodata section and takes them out of `left`.

    Raises NotInObject when a struct has no such field.
    """
    size = ffi.new("size_t *")
    start = lib().bpf_map__initial_value(pointer, size)
    section = np.frombuffer(ffi.buffer(start, size[0]), "u1")
    section_id = int(lib().bpf_map__btf_value_type_id(pointer))
    for variable in btf.variables(section_id):
        if variable.name in left:
            place = section[variable.offset : variable.offset + variable.size]
            _assign(place.view(_single(btf.dtype(variable.type_id))), variable.name, left)


def _assign(place: np.ndarray, name: str, left: dict[str, Value]) -> None:
    value = left.pop(name)
    if not isinstance(value, Mapping):
        place[...] = value
        return
    for field, part in value.items():
        if field not in (place.dtype.names or ()):
            raise errors.NotInObject(f"setting {name}.{field}", answer="it has no such field")
        place[field] = part


def _single(dtype: np.dtype) -> np.dtype:
    """The element type of an array variable: a view cannot have a sub-array dtype."""
    return dtype.base


def _each(following: Any, pointer: Any) -> Iterator[Any]:
    item = following(pointer, libbpf.NULL)
    while item != libbpf.NULL:
        yield item
        item = following(pointer, item)


def _plain(size: int) -> np.dtype:
    """The dtype of what has no BTF: the integer of that size, or bytes."""
    return np.dtype(f"<u{size}" if size in (1, 2, 4, 8) else f"V{size}")
