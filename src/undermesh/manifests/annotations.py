# SPDX-License-Identifier: Apache-2.0
"""Annotations `undermesh.io/…` of a Kubernetes Service: what Kubernetes has no field for.

`undermesh.io/balancing: maglev`; what is a mapping in our own Service is JSON in an annotation:
`undermesh.io/check: '{"http": {"path": "/healthz"}}'`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec

from undermesh.manifests import behaviour as shared
from undermesh.manifests import scalars
from undermesh.manifests.behaviour import CheckFields, EjectionFields, SplitFields
from undermesh.manifests.explaining import faults, show
from undermesh.manifests.faults import Fault, Path, Refused, refusal
from undermesh.manifests.metadata import Wire
from undermesh.manifests.scalars import Duration, Lasting
from undermesh.model.service import Balancing, Check, Ejection, Locality, Split

PREFIX = "undermesh.io/"
_JSON = ("check", "ejection", "fastpath", "splits")
_AT: Path = ("metadata", "annotations")


class Annotations(Wire):
    """What the annotations hold, their prefix left out and their JSON read."""

    balancing: Balancing = Balancing.RANDOM
    locality: Locality | None = None
    affinity: Lasting | None = None
    splits: list[SplitFields] = []
    check: CheckFields | None = None
    ejection: EjectionFields | None = None
    drain: Duration = "30s"
    fastpath: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a service behaves beyond what Kubernetes says of it."""

    balancing: Balancing = Balancing.RANDOM
    locality: Locality | None = None
    affinity: timedelta | None = None
    splits: tuple[Split, ...] = ()
    check: Check | None = None
    ejection: Ejection | None = None
    drain: timedelta = timedelta(seconds=30)
    fastpath: bool = False


def behaviour(annotations: Mapping[str, str]) -> Behaviour:
    """What the annotations of ours say. Raises Refused, with paths in the document."""
    ours = {name: text for name, text in annotations.items() if name.startswith(PREFIX)}
    if not ours:
        return Behaviour()
    held = {name.removeprefix(PREFIX): _held(name, text) for name, text in ours.items()}
    found = [_placed(fault) for fault in faults(held, Annotations)]
    if found:
        raise Refused(found)
    wire = msgspec.convert(held, Annotations)
    said = shared.behaved(wire, lambda name: (*_AT, PREFIX + name))
    return Behaviour(
        balancing=wire.balancing,
        locality=wire.locality,
        affinity=scalars.positive(wire.affinity) if wire.affinity else None,
        splits=said.splits,
        check=said.check,
        ejection=said.ejection,
        drain=scalars.duration(wire.drain),
        fastpath=wire.fastpath,
    )


def _held(name: str, text: str) -> object:
    if name.removeprefix(PREFIX) not in _JSON:
        return text
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        said = f"{show(text)} is not JSON"
        allowed = 'such as true, or {"http": {"path": "/healthz"}}'
        raise refusal((*_AT, name), said, allowed) from None


def _placed(fault: Fault) -> Fault:
    """A fault of the annotations, seen from the top of the document."""
    first, *rest = fault.path
    return replace(fault, path=(*_AT, f"{PREFIX}{first}", *rest))
