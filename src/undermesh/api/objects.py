# SPDX-License-Identifier: Apache-2.0
"""Desired state: /v1/objects and /v1/changes.

Manifests are read in a thread of their own: ten thousand of them take seconds, and the agent's
loops go on meanwhile.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, ParamSpec, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from undermesh import manifests
from undermesh.api import bodies, streams
from undermesh.api.asked import Query
from undermesh.api.problems import Refused
from undermesh.api.service import Service
from undermesh.app.desired_ports import Compacted
from undermesh.app.outcomes import Invalid, Moved, NotStored, Outcome, Result, Verb, Wanted
from undermesh.app.records import Stored
from undermesh.app.summary import summary
from undermesh.model import objects as model
from undermesh.model.kinds import ALLOWED, KINDS, UnknownKind, kinds_named
from undermesh.wire import objects as wire
from undermesh.wire.problems import Diagnostic
from undermesh.wire.times import iso

P = ParamSpec("P")
Answer = TypeVar("Answer")
Ask = TypeVar("Ask", wire.Apply, wire.Delete)

_HIGHEST = (1 << 63) - 1


class ObjectsApi:
    """Handlers over one service's objects."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._objects = service.objects

    async def apply(self, request: Request) -> Response:
        """POST /v1/objects:apply"""
        asked = await bodies.read(request, wire.Apply, limit=wire.BODY_LIMIT)
        result = await self._apply(asked, dry_run=asked.dry_run)
        return _json(_changed(result, dry_run=asked.dry_run))

    async def diff(self, request: Request) -> Response:
        """POST /v1/objects:diff"""
        asked = await bodies.read(request, wire.Apply, limit=wire.BODY_LIMIT)
        result = await self._apply(asked, dry_run=True)
        different = [one for one in result.outcomes if one.verb is not Verb.UNCHANGED]
        return _json(
            wire.Differences(
                revision=result.revision,
                objects=[_difference(one) for one in different],
                unchanged=len(result.outcomes) - len(different),
                diagnostics=_diagnostics(result.warnings),
            )
        )

    async def delete(self, request: Request) -> Response:
        """POST /v1/objects:delete"""
        asked = await bodies.read(request, wire.Delete, limit=wire.BODY_LIMIT)
        wanted = [
            Wanted(kinds=_kinds(one.kind, "kind"), namespace=one.namespace, name=one.name)
            for one in asked.objects
        ]
        result = await _answered(
            self._objects.delete,
            wanted,
            _sources(asked),
            ignore_not_found=asked.ignore_not_found,
            dry_run=asked.dry_run,
        )
        return _json(_changed(result, dry_run=asked.dry_run))

    async def stored(self, request: Request) -> Response:
        """GET /v1/objects"""
        query = Query(request.query_params)
        kind, namespace, name = query.text("kind"), query.text("namespace"), query.text("name")
        query.done()
        kinds = KINDS if kind is None else _kinds(kind, "kind")
        wanted = Wanted(kinds=kinds, namespace=namespace, name=name)
        return _json(await asyncio.to_thread(self._get, wanted))

    async def one(self, request: Request) -> Response:
        """GET /v1/objects/{kind}/{namespace}/{name}"""
        Query(request.query_params).done()
        kind, namespace, name = (request.path_params[key] for key in ("kind", "namespace", "name"))
        wanted = Wanted(kinds=_kinds(kind, "kind"), namespace=namespace, name=name)
        found = await asyncio.to_thread(self._get, wanted)
        if not found.objects:
            raise Refused(404, "Not stored", f"there is no {kind}/{namespace}/{name}")
        return _json(found)

    async def changes(self, request: Request) -> Response:
        """GET /v1/changes"""
        query = Query(request.query_params)
        after, follow = query.whole("after", 0, _HIGHEST), query.flag("follow")
        query.done()
        if after is None:
            after = self._objects.state.snapshot().revision
        try:
            rows, revision = self._changes(after)
        except Compacted as error:
            detail = f"{error}; GET /v1/objects, and follow from its revision"
            raise Refused(410, "Too long ago", detail) from error
        if not follow:
            return _json(wire.Changes(revision=revision, changes=rows))
        return streams.response(
            streams.woken(self._objects.state.follow, self._growing(after), self._service.ending)
        )

    def _get(self, wanted: Wanted) -> wire.Objects:
        found, revision = self._objects.get(wanted)
        return wire.Objects(revision=revision, objects=[_row(one) for one in found])

    def _growing(self, after: int) -> Callable[[], bytes]:
        """Lines of what changed since it was called before."""

        def lines() -> bytes:
            nonlocal after
            try:
                rows, after = self._changes(after)
            except Compacted as error:
                last = msgspec.json.encode({"compacted": error.oldest}) + b"\n"
                raise streams.EndOfStream(last) from error
            return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)

        return lines

    def _changes(self, after: int) -> tuple[list[wire.ChangeRow], int]:
        found, revision = self._objects.state.changes(after=after)
        return [_change(key, stored, made) for key, stored, made in found], revision

    async def _apply(self, asked: wire.Apply, *, dry_run: bool) -> Result:
        return await _answered(
            self._objects.apply,
            _sources(asked),
            at_ns=self._service.now().epoch_ns,
            dry_run=dry_run,
            expected=asked.revision,
        )


def routes(service: Service) -> Sequence[Route]:
    """The paths of desired state."""
    api = ObjectsApi(service)
    return [
        Route("/v1/objects:apply", api.apply, methods=["POST"]),
        Route("/v1/objects:diff", api.diff, methods=["POST"]),
        Route("/v1/objects:delete", api.delete, methods=["POST"]),
        Route("/v1/objects", api.stored, methods=["GET"]),
        Route("/v1/objects/{kind}/{namespace}/{name}", api.one, methods=["GET"]),
        Route("/v1/changes", api.changes, methods=["GET"]),
    ]


async def _answered(ask: Callable[P, Answer], /, *arguments: P.args, **options: P.kwargs) -> Answer:
    """The use case's answer, or its no as the API says it."""
    try:
        return await asyncio.to_thread(ask, *arguments, **options)
    except Invalid as error:
        said = _diagnostics(error.diagnostics)
        raise Refused(422, "Not what can be stored", str(error), said) from error
    except NotStored as error:
        raise Refused(404, "Not stored", f"{error}; nothing was deleted") from error
    except Moved as error:
        raise Refused(409, "It changed meanwhile", str(error)) from error


def _sources(asked: Ask) -> list[manifests.Source]:
    return [manifests.Source(one.name, one.text, asked.namespace) for one in asked.sources]


def _kinds(text: str, field: str) -> tuple[str, ...]:
    try:
        return kinds_named(text)
    except UnknownKind as error:
        said = Diagnostic(key=field, message=str(error), allowed=[ALLOWED])
        raise Refused(400, "No such kind", str(error), [said]) from error


def _changed(result: Result, *, dry_run: bool) -> wire.Changed:
    return wire.Changed(
        revision=result.revision,
        dry_run=dry_run,
        objects=[
            wire.Outcome(
                kind=one.key.kind,
                namespace=one.key.namespace,
                name=one.key.name,
                change=one.verb.value,
            )
            for one in result.outcomes
        ],
        diagnostics=_diagnostics(result.warnings),
    )


def _difference(outcome: Outcome) -> wire.Difference:
    return wire.Difference(
        kind=outcome.key.kind,
        namespace=outcome.key.namespace,
        name=outcome.key.name,
        change=outcome.verb.value,
        origin=outcome.origin,
        before=None if outcome.before is None else _document(outcome.before),
        after=None if outcome.after is None else _document(outcome.after),
    )


def _row(stored: Stored) -> wire.ObjectRow:
    return wire.ObjectRow(
        kind=stored.key.kind,
        namespace=stored.key.namespace,
        name=stored.key.name,
        revision=stored.revision,
        created=iso(stored.created_ns),
        changed=iso(stored.changed_ns),
        origin=stored.origin,
        summary="" if stored.object is None else summary(stored.object.specs),
        problem=stored.problem,
        object=_document(stored.document),
    )


def _change(key: model.ObjectKey, stored: Stored | None, revision: int) -> wire.ChangeRow:
    change: Literal["stored", "deleted"] = "deleted" if stored is None else "stored"
    return wire.ChangeRow(
        revision=revision,
        change=change,
        kind=key.kind,
        namespace=key.namespace,
        name=key.name,
        object=None if stored is None else _document(stored.document),
    )


def _diagnostics(found: Iterable[model.Diagnostic]) -> list[Diagnostic]:
    return [
        Diagnostic(
            key=one.field,
            message=one.message,
            allowed=[one.allowed] if one.allowed else [],
            file=one.file,
            line=one.line,
            column=one.column,
            severity=one.severity,
        )
        for one in found
    ]


def _document(text: str) -> dict[str, object]:
    return msgspec.json.decode(text, type=dict[str, object])


def _json(answer: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")
