# SPDX-License-Identifier: Apache-2.0
"""One object as a store keeps it: its key, and the bytes below it."""

import dataclasses
import zlib
from dataclasses import dataclass

import msgspec

from undermesh.model.objects import Object, ObjectKey

PREFIX = "/desired/"
_COMPRESSED_FROM = 1 << 16
"""Bytes; below it nothing is worth the time. What is compressed does not begin with a brace."""


class Record(msgspec.Struct, kw_only=True):
    """What a key holds. Times are ns since the epoch."""

    document: msgspec.Raw
    origin: str = ""
    created_ns: int = 0
    changed_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One object as it is stored. `object` is None where this version cannot read it any more."""

    key: ObjectKey
    document: str
    origin: str
    created_ns: int
    changed_ns: int
    revision: int
    object: Object | None
    problem: str = ""
    """Why it cannot be read."""


def encoded(object_: Object, *, created_ns: int, changed_ns: int) -> bytes:
    """An object as its key holds it. May be longer than a store takes."""
    raw = msgspec.json.encode(
        Record(
            document=msgspec.Raw(object_.document.encode()),
            origin=object_.origin,
            created_ns=created_ns,
            changed_ns=changed_ns,
        )
    )
    return zlib.compress(raw, 1) if len(raw) >= _COMPRESSED_FROM else raw


def path_of(key: ObjectKey) -> str:
    """/desired/<kind>/<namespace>/<name>"""
    return f"{PREFIX}{key.kind}/{key.namespace}/{key.name}"


def key_of(path: str) -> ObjectKey | None:
    """The object a key of the store is; None for one that is none."""
    parts = path.removeprefix(PREFIX).split("/")
    return ObjectKey(*parts) if len(parts) == 3 else None


def placed(object_: Object, origin: str) -> Object:
    """The object as said at `origin`, which a document read back from the store does not know."""
    if object_.origin == origin:
        return object_
    specs = tuple(dataclasses.replace(spec, origin=origin) for spec in object_.specs)
    return dataclasses.replace(object_, specs=specs, origin=origin)


def decoded(key: ObjectKey, value: bytes, revision: int) -> Stored:
    """What a key holds, not yet understood."""
    raw = value if value.startswith(b"{") else zlib.decompress(value)
    record = msgspec.json.decode(raw, type=Record)
    return Stored(
        key=key,
        document=bytes(record.document).decode(),
        origin=record.origin,
        created_ns=record.created_ns,
        changed_ns=record.changed_ns,
        revision=revision,
        object=None,
    )
