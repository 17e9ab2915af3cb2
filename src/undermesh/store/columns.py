# SPDX-License-Identifier: Apache-2.0
"""How rows of counters are laid out, and how a row of another version is read.

A row is int64 words. Its layout, the list of named fields, is stored once and rows name it by
number, so that a version may append, drop or reorder fields and still reads every row by name.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Words: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
_COMPRESS_FROM = 256
_RAW, _ZLIB = b"\0", b"\1"


@dataclass(frozen=True, slots=True)
class Field:
    """One counter of a row, or `length` of them (a histogram).

    Rule "sum" adds what is folded, "max" keeps the larger (a time, a maximum).
    """

    name: str
    length: int = 1
    rule: Literal["sum", "max"] = "sum"


@dataclass(frozen=True, slots=True)
class Layout:
    """Fields in the order of their words. `columns` is field → its words, `width` all of them."""

    fields: tuple[Field, ...]
    columns: Mapping[str, slice] = field(init=False, compare=False)
    width: int = field(init=False, compare=False)
    maxima: Flags = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        columns: dict[str, slice] = {}
        at = 0
        for item in self.fields:
            if item.length < 1 or item.name in columns:
                raise ValueError(f"field {item.name} is given twice or has no length")
            columns[item.name] = slice(at, at + item.length)
            at += item.length
        maxima = np.zeros(at, dtype=np.bool_)
        for item in self.fields:
            maxima[columns[item.name]] = item.rule == "max"
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "width", at)
        object.__setattr__(self, "maxima", maxima)

    def add(self, first: Words, second: Words) -> Words:
        """Two rows (or arrays of rows) as one, field by field, by each one's rule."""
        return np.where(self.maxima, np.maximum(first, second), first + second)

    def joined(self, other: "Layout") -> "Layout":
        """This layout with the fields that only `other` has after its own.

        An older version that adds to a newer one's rows so keeps what it does not know.
        """
        extra = [item for item in other.fields if item.name not in self.columns]
        grown = [
            item
            if item.name not in other.columns
            else Field(item.name, max(item.length, other.length(item.name)), item.rule)
            for item in self.fields
        ]
        return Layout((*grown, *extra)) if extra or tuple(grown) != self.fields else self

    def length(self, name: str) -> int:
        """Words of a field."""
        span = self.columns[name]
        return int(span.stop - span.start)

    def convert(self, values: Words, to: "Layout") -> Words:
        """Rows (n, width) of this layout as rows of another, by field name; what is new is 0."""
        if self == to:
            return values
        moved = np.zeros((*values.shape[:-1], to.width), dtype=np.int64)
        for name, target in to.columns.items():
            source = self.columns.get(name)
            if source is not None:
                length = min(source.stop - source.start, target.stop - target.start)
                moved[..., target.start : target.start + length] = values[
                    ..., source.start : source.start + length
                ]
        return moved

    def to_json(self) -> str:
        """The text it is stored as."""
        return json.dumps([[f.name, f.length, f.rule] for f in self.fields], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Layout":
        """The layout stored as `text`. Raises ValueError."""
        return cls(tuple(Field(name, length, rule) for name, length, rule in json.loads(text)))


def pack(row: Words) -> bytes:
    """One row as bytes: little-endian words, compressed where long (histograms are mostly 0)."""
    raw = np.ascontiguousarray(row, dtype="<i8").tobytes()
    return _ZLIB + zlib.compress(raw, 1) if len(raw) >= _COMPRESS_FROM else _RAW + raw


def unpack(data: bytes, layout: Layout) -> Words:
    """The row in `data`. Raises ValueError where it is none of this layout."""
    try:
        raw = zlib.decompress(data[1:]) if data[:1] == _ZLIB else data[1:]
    except zlib.error as error:
        raise ValueError(f"a row of counters does not unpack: {error}") from error
    if len(raw) != layout.width * 8:
        raise ValueError(f"a row of counters has {len(raw)} bytes, not {layout.width * 8}")
    return np.frombuffer(raw, dtype="<i8").astype(np.int64)


def stack(rows: Sequence[Words], width: int) -> Words:
    """Rows as one array (n, width), also for no rows."""
    return np.stack(rows) if rows else np.zeros((0, width), dtype=np.int64)
