# SPDX-License-Identifier: Apache-2.0
"""Documents → objects: which kind each is, what it means, and all that is wrong."""

import gc
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import msgspec

from undermesh.manifests import consul, endpoints, kubernetes, own, own_service
from undermesh.manifests.documents import Document, documents
from undermesh.manifests.explaining import show
from undermesh.manifests.faults import Fault, Refused, nearest
from undermesh.manifests.meaning import Kind, understand
from undermesh.manifests.source import Read, Source
from undermesh.manifests.yaml12 import Plain
from undermesh.model.objects import Diagnostic, Object

KINDS = {
    (kind.api, kind.name): kind
    for kind in (*kubernetes.KINDS, *endpoints.KINDS, *own_service.KINDS, *own.KINDS)
}
UNDERSTOOD = ", ".join([*map(str, KINDS.values()), "List (v1)", "Consul's {service: …}"])
MOST_SAID = 1000
"""Diagnostics of one reading: more than this, nobody reads."""

_LISTS = ("List", "ServiceList", "EndpointsList", "EndpointSliceList")
_HCL = re.compile(r'^\s*(services?|check)\s*(=\s*)?\{|^\s*service\s+"', re.MULTILINE)
_CONSUL = re.compile("services?", re.IGNORECASE)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for garbage meanwhile: what is made is kept or freed by its count, and going over
    a million live objects again and again takes twice the time that making them does."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def read(sources: Sequence[Source]) -> Read:
    """All objects of `sources` and all that is wrong with them; never raises."""
    with _uncollected():
        return _read(sources)


def _read(sources: Sequence[Source]) -> Read:
    objects: list[Object] = []
    diagnostics: list[Diagnostic] = []
    for source in sources:
        for found in _source(source):
            if isinstance(found, Object):
                objects.append(found)
            else:
                diagnostics.append(found)
    return Read(objects=tuple(objects), diagnostics=_at_most(diagnostics))


def _at_most(found: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Errors before warnings where not all can be said; and then that there are more."""
    if len(found) <= MOST_SAID:
        return tuple(found)
    found.sort(key=lambda one: one.severity != "error")
    last = found[MOST_SAID]
    more = f"and {len(found) - MOST_SAID} more, which are not shown"
    return (*found[:MOST_SAID], replace(last, field="", message=more, allowed=""))


def _source(source: Source) -> Iterator[Object | Diagnostic]:
    if _is_hcl(source):
        said = "is HCL, which is not read"
        yield Diagnostic(
            file=source.name,
            line=1,
            column=1,
            field="",
            message=said,
            allowed='Consul\'s JSON: {"service": {"name": …, "port": …}}',
        )
        return
    for found in documents(source):
        if isinstance(found, Diagnostic):
            yield found
            continue
        try:
            yield from _objects(found)
        except RecursionError:
            yield found.diagnostic(Fault(path=(), message="is nested too deep to be read"))


def _is_hcl(source: Source) -> bool:
    if source.name.endswith(".hcl"):
        return True
    head = source.text[:65536]
    if "apiVersion" in head or head.lstrip().startswith("{"):
        return False
    return _HCL.search(head) is not None


def _objects(document: Document) -> Iterator[Object | Diagnostic]:
    value = document.value
    if not isinstance(value, dict):
        said = f"{show(value)} is not a manifest"
        yield document.diagnostic(Fault(path=(), message=said, allowed=f"one of {UNDERSTOOD}"))
    elif "apiVersion" not in value and any(_CONSUL.fullmatch(name) for name in value):
        yield from _definitions(document)
    elif value.get("kind") in _LISTS and isinstance(value.get("items") or [], list):
        for index, item in enumerate(value.get("items") or []):
            yield from _objects(document.part(("items", index), _completed(value, item)))
    else:
        yield from _manifest(document)


def _completed(holder: dict[str, Plain], item: Plain) -> Plain:
    """Items of a ServiceList do not say what they are; those of a List do."""
    kind = str(holder["kind"]).removesuffix("List")
    if not kind or not isinstance(item, dict):
        return item
    return {"apiVersion": holder.get("apiVersion"), "kind": kind, **item}


def _manifest(document: Document) -> Iterator[Object | Diagnostic]:
    api, name = document.value.get("apiVersion"), document.value.get("kind")
    kind = KINDS.get((api, name)) if isinstance(api, str) and isinstance(name, str) else None
    if kind is None:
        yield document.diagnostic(_unknown(api, name))
        return
    yield from _understood(document, kind, document.value)


def _unknown(api: Plain, name: Plain) -> Fault:
    allowed = f"understood: {UNDERSTOOD}"
    if not isinstance(name, str):
        said = "is missing" if name is None else f"{show(name)} is not the name of a kind"
        return Fault(path=("kind",), message=said, allowed=allowed, at_key=True)
    apis = [kind.api for kind in KINDS.values() if kind.name == name]
    if not isinstance(api, str):
        said = "is missing" if api is None else f"{show(api)} is not the name of an API"
        return Fault(path=("apiVersion",), message=said, allowed=allowed, at_key=True)
    if apis:
        said = f"{name} of {api[:80]} is not understood{nearest(api, apis)}"
        return Fault(path=("apiVersion",), message=said, allowed=f"{name} of {' or '.join(apis)}")
    said = f"{name[:80]} ({api[:80]}) is not understood"
    said += nearest(name, (kind.name for kind in KINDS.values()))
    return Fault(path=("kind",), message=said, allowed=allowed)


def _definitions(document: Document) -> Iterator[Object | Diagnostic]:
    """Consul's: one service, or several, and nothing beside them."""
    for name, held in document.value.items():
        folded = name.lower()
        if folded == "service":
            yield from _definition(document, (name,), held)
        elif folded == "services" and isinstance(held, list):
            for index, each in enumerate(held):
                yield from _definition(document, (name, index), each)
        else:
            said = "is not read" if folded != "services" else f"{show(held)} is not a list"
            fault = Fault(path=(name,), message=said, allowed="service: {…} or services: […]")
            yield document.diagnostic(fault)


def _definition(
    document: Document, path: tuple[str | int, ...], held: Plain
) -> Iterator[Object | Diagnostic]:
    value = {"service": consul.normal(held)}
    part = document if path == ("service",) else document.part(path, held)
    yield from _understood(part, consul.KIND, value, above=0 if part is document else 1)


def _understood(
    document: Document, kind: Kind, value: Plain, above: int = 0
) -> Iterator[Object | Diagnostic]:
    """The object `value` is. `above`: how many first steps of its paths are not in the document."""
    origin = document.origin()
    placed = _placed(value, document.source.namespace)
    try:
        meaning = understand(kind, placed, origin)
        text = document.canonical if placed is value else None
        text = text or msgspec.json.encode(placed, order="sorted").decode()
    except Refused as refused:
        yield from _told(document, refused.faults, above)
        return
    yield Object(key=meaning.key, specs=meaning.specs, document=text, origin=origin)
    yield from _told(document, meaning.notes, above)


def _placed(value: Plain, namespace: str) -> Plain:
    """`value` in `namespace`, where it does not say one itself."""
    if namespace != "default":
        for held in ("metadata", "service"):
            part = value.get(held)
            if isinstance(part, dict) and "namespace" not in part:
                return {**value, held: {**part, "namespace": namespace}}
    return value


def _told(document: Document, faults: Iterable[Fault], above: int) -> Iterator[Diagnostic]:
    """Diagnostics in the order of the text."""
    said = [document.diagnostic(replace(fault, path=fault.path[above:])) for fault in faults]
    yield from sorted(said, key=lambda one: (one.line, one.column))
