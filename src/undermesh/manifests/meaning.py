# SPDX-License-Identifier: Apache-2.0
"""What a kind of document is: how it is recognised, its fields, and what it means."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from undermesh.manifests.explaining import faults
from undermesh.manifests.faults import Fault, Path, Refused
from undermesh.model.objects import ObjectKey, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What one document was understood as; `notes` are warnings."""

    key: ObjectKey
    specs: tuple[Spec, ...]
    notes: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of one API: the type of its fields and what a value of it means.

    `mean` is given the converted document and its origin and raises Refused, or ValueError for a
    text whose fault `explaining` finds again.
    """

    api: str
    name: str
    wire: type
    mean: Callable[[Any, str], Meaning]

    def __str__(self) -> str:
        return f"{self.name} ({self.api})"


def understand(kind: Kind, value: object, origin: str) -> Meaning:
    """The meaning of one document. Raises Refused with everything that is wrong with it."""
    try:
        return kind.mean(msgspec.convert(value, kind.wire), origin)
    except Refused as refused:
        raise Refused((*faults(value, kind.wire), *refused.faults)) from None
    except (msgspec.ValidationError, ValueError, OverflowError) as wrong:
        found = tuple(faults(value, kind.wire))
        if found:
            raise Refused((*found, *_beyond(kind, value, found, origin))) from None
        return _without_nothing(kind, value, origin, str(wrong))


def _without_nothing(kind: Kind, value: object, origin: str, said: str) -> Meaning:
    """A field with nothing in it is one that is not there, for Kubernetes and so for us."""
    bare = _stripped(value)
    if bare == value:
        raise Refused([Fault(path=(), message=said)])
    return understand(kind, bare, origin)


def _stripped(value: object) -> object:
    match value:
        case dict():
            return {name: _stripped(held) for name, held in value.items() if held is not None}
        case list():
            return [_stripped(held) for held in value]
    return value


def _beyond(kind: Kind, value: object, found: tuple[Fault, ...], origin: str) -> tuple[Fault, ...]:
    """What else would be wrong were the fields in `found` not there, so that one look tells all.

    Nothing where the rest cannot be understood without them.
    """
    rest: object = _stripped(value)
    for fault in found:
        rest = _cut(rest, fault.path)
    try:
        kind.mean(msgspec.convert(rest, kind.wire), origin)
    except Refused as refused:
        return tuple(fault for fault in refused.faults if fault.path not in {f.path for f in found})
    except (msgspec.ValidationError, ValueError, OverflowError):
        pass
    return ()


def _cut(value: object, path: Path) -> object:
    """`value` without what stands at `path`; an item of a list stays, so that indices do."""
    match path:
        case (str(name),) if isinstance(value, dict):
            return {key: held for key, held in value.items() if key != name}
        case (first, *rest) if rest:
            return _replaced(value, first, tuple(rest))
    return value


def _replaced(value: object, step: str | int, rest: Path) -> object:
    if isinstance(value, dict) and step in value:
        return {**value, step: _cut(value[step], rest)}
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return [*value[:step], _cut(value[step], rest), *value[step + 1 :]]
    return value
