# SPDX-License-Identifier: Apache-2.0
"""Everything that is wrong with a value that should be of a type.

A document that is right is converted by msgspec, which is fast and stops at the first thing wrong.
One that is not is gone through again here, beside the description of its type, to the end.
"""

import enum
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from undermesh.manifests.faults import Fault, Path, nearest

NOUNS = {bool: "true or false", str: "text", list: "a list", dict: "a mapping"}


def faults(value: object, wire: type) -> Iterator[Fault]:
    """Each way in which `value` is not a `wire`."""
    return _walk(value, _described(wire), ())


@cache
def _described(wire: type) -> inspect.Type:
    return inspect.type_info(wire)


def _walk(value: object, kind: inspect.Type, path: Path) -> Iterator[Fault]:
    match kind:
        case inspect.Metadata(type=inner, extra=dict(extra)):
            yield from _meaning(value, inner, path, extra)
        case inspect.Metadata(type=inner):
            yield from _walk(value, inner, path)
        case inspect.AnyType():
            pass
        case inspect.StructType():
            yield from _struct(value, kind, path)
        case inspect.DictType():
            yield from _mapping(value, kind, path)
        case inspect.ListType():
            yield from _list(value, kind, path)
        case inspect.UnionType():
            yield from _union(value, kind, path)
        case _:
            if not _fits(value, kind):
                yield Fault(path=path, message=_not_fitting(value, kind), allowed=describe(kind))


def _meaning(
    value: object, kind: inspect.Type, path: Path, extra: dict[str, Any]
) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield Fault(path=path, message=f"{show(value)} is not text", allowed=extra["allowed"])
        return
    try:
        extra["parse"](value)
    except ValueError as wrong:
        yield Fault(path=path, message=f"{show(value)} {wrong}", allowed=extra["allowed"])


def _struct(value: object, kind: inspect.StructType, path: Path) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield Fault(path=path, message=f"{show(value)} is not a mapping", allowed=_fields_of(kind))
        return
    known = {field.encode_name: field for field in kind.fields}
    for name in value.keys() - known.keys():
        hint = nearest(name, known)
        yield Fault(
            path=(*path, name),
            message=f"unknown field{hint}",
            allowed=f"fields here: {_fields_of(kind)}",
            at_key=True,
        )
    for name, field in known.items():
        if value.get(name) is not None:
            yield from _walk(value[name], field.type, (*path, name))
        elif field.required:
            yield Fault(path=(*path, name), message="is missing", allowed=describe(field.type))


def _mapping(value: object, kind: inspect.DictType, path: Path) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield Fault(path=path, message=f"{show(value)} is not a mapping", allowed=describe(kind))
        return
    for name, held in value.items():
        for fault in _walk(name, kind.key_type, (*path, name)):
            yield Fault(path=fault.path, message=fault.message, allowed=fault.allowed, at_key=True)
        yield from _walk(held, kind.value_type, (*path, name))


def _list(value: object, kind: inspect.ListType, path: Path) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield Fault(path=path, message=f"{show(value)} is not a list", allowed=describe(kind))
        return
    least, most = kind.min_length or 0, kind.max_length or len(value)
    if not least <= len(value) <= most:
        said = "is empty" if not value else f"has {len(value)} items"
        yield Fault(path=path, message=said, allowed=describe(kind))
    for index, held in enumerate(value):
        yield from _walk(held, kind.item_type, (*path, index))


def _union(value: object, kind: inspect.UnionType, path: Path) -> Iterator[Fault]:
    """The alternatives are told apart by what YAML says the value is: text, a number, a mapping."""
    if value is None and any(isinstance(part, inspect.NoneType) for part in kind.types):
        return
    parts = [part for part in kind.types if not isinstance(part, inspect.NoneType)]
    of_kind = [part for part in parts if _same_sort(value, part)]
    if of_kind:
        yield from _walk(value, of_kind[0], path)
        return
    allowed = " or ".join(describe(part) for part in parts)
    nouns = " or ".join(_noun(part) for part in parts)
    yield Fault(path=path, message=f"{show(value)} is not {nouns}", allowed=allowed)


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _same_sort(value: object, kind: inspect.Type) -> bool:
    match _bare(kind):
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType() | inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case inspect.StrType() | inspect.LiteralType() | inspect.EnumType():
            return isinstance(value, str)
        case inspect.ListType():
            return isinstance(value, list)
        case inspect.StructType() | inspect.DictType():
            return isinstance(value, dict)
    return True


def _fits(value: object, kind: inspect.Type) -> bool:
    if not _same_sort(value, kind):
        return False
    match kind:
        case inspect.IntType():
            return isinstance(value, int) and _within(value, kind)
        case inspect.FloatType():
            return isinstance(value, int | float) and _within(value, kind)
        case inspect.LiteralType(values=values):
            return value in values
        case inspect.EnumType(cls=members):
            return value in {member.value for member in members}
    return True


def _within(value: float, kind: inspect.IntType | inspect.FloatType) -> bool:
    return (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    )


def _not_fitting(value: object, kind: inspect.Type) -> str:
    if not _same_sort(value, kind):
        return f"{show(value)} is not {_noun(kind)}"
    match kind:
        case inspect.LiteralType(values=values):
            return f"{show(value)} is not known{nearest(str(value), map(str, values))}"
        case inspect.EnumType(cls=members):
            return f"{show(value)} is not known{nearest(str(value), _values(members))}"
        case inspect.IntType() if not isinstance(value, int):
            return f"{show(value)} is not a whole number"
    return f"{show(value)} is out of range"


def _values(members: type[enum.Enum]) -> list[str]:
    return [str(member.value) for member in members]


def _noun(kind: inspect.Type) -> str:
    match _bare(kind):
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number"
        case inspect.FloatType():
            return "a number"
        case inspect.ListType():
            return "a list"
        case inspect.StructType() | inspect.DictType():
            return "a mapping"
    return "text"


def describe(kind: inspect.Type) -> str:
    """What a value of this type may be, for whoever wrote another one."""
    match kind:
        case inspect.Metadata(extra=dict(extra)):
            return str(extra["allowed"])
        case inspect.Metadata(type=inner):
            return describe(inner)
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(map(str, values))
        case inspect.EnumType(cls=members):
            return "one of " + ", ".join(_values(members))
        case inspect.IntType() | inspect.FloatType():
            return _range(kind)
        case inspect.StructType():
            return f"a mapping of {_fields_of(kind)}"
        case inspect.DictType(value_type=held):
            return f"a mapping of names to {_noun(held)}"
        case inspect.ListType(min_length=least, max_length=most) if least and most:
            return f"a list of {least}" + (f" to {most}" if most != least else "")
        case inspect.UnionType(types=types):
            parts = [part for part in types if not isinstance(part, inspect.NoneType)]
            return " or ".join(describe(part) for part in parts)
    return _noun(kind)


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    least = kind.ge if kind.ge is not None else kind.gt
    most = kind.le if kind.le is not None else kind.lt
    text = _noun(kind)
    if least is not None and most is not None:
        return f"{text} from {least} to {most}"
    if least is not None:
        return f"{text}, {least} or more" if kind.ge is not None else f"{text} above {least}"
    return text


def _fields_of(kind: inspect.StructType) -> str:
    return ", ".join(field.encode_name for field in kind.fields)


def show(value: object) -> str:
    """A value as it stands in a message, short."""
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case None:
            return "nothing"
        case float() if value != value or value in (float("inf"), float("-inf")):
            return str(value)
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f'{text[:57]}…"'
