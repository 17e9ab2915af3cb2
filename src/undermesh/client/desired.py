# SPDX-License-Identifier: Apache-2.0
"""Desired state of one agent: apply, diff, delete, list, follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from undermesh.client.errors import RequestRefused
from undermesh.client.transport import Transport

if TYPE_CHECKING:
    from undermesh.wire.objects import (
        Apply,
        Changed,
        ChangeRow,
        Changes,
        Delete,
        Differences,
        Objects,
        Ref,
        Source,
    )

PATIENCE_SECONDS = 300.0
"""Tens of thousands of manifests take a while to be read."""

Answer = TypeVar("Answer")


class Desired:
    """Questions about desired state; raises what `Client` raises. Manifests that cannot be stored
    are a `RequestRefused` of status 422, with `diagnostics` for every error in them."""

    def __init__(self, transport: Transport, decode: Callable[..., object]) -> None:
        self._transport = transport
        self._decode = decode

    def apply(
        self,
        sources: Sequence[Source],
        *,
        dry_run: bool = False,
        namespace: str = "default",
        revision: int | None = None,
    ) -> Changed:
        """Stores what `sources` say, all of it or nothing. `revision`: only if desired state is
        still at it (else a refusal of status 409)."""
        from undermesh.wire.objects import Apply, Changed

        asked = Apply(
            sources=list(sources), dry_run=dry_run, namespace=namespace, revision=revision
        )
        return self._post("apply", asked, Changed)

    def diff(self, sources: Sequence[Source], *, namespace: str = "default") -> Differences:
        """What applying `sources` would change."""
        from undermesh.wire.objects import Apply, Differences

        return self._post("diff", Apply(sources=list(sources), namespace=namespace), Differences)

    def delete(
        self,
        objects: Sequence[Ref] = (),
        sources: Sequence[Source] = (),
        *,
        namespace: str = "default",
        ignore_not_found: bool = False,
        dry_run: bool = False,
    ) -> Changed:
        """Removes what is named and what `sources` say, all of it or nothing."""
        from undermesh.wire.objects import Changed, Delete

        asked = Delete(
            objects=list(objects),
            sources=list(sources),
            namespace=namespace,
            ignore_not_found=ignore_not_found,
            dry_run=dry_run,
        )
        return self._post("delete", asked, Changed)

    def objects(
        self, *, kind: str | None = None, namespace: str | None = None, name: str | None = None
    ) -> Objects:
        """What is stored; `kind` as people type it ("svc", "ep,wl")."""
        from undermesh.wire.objects import Objects

        query = {"kind": kind, "namespace": namespace, "name": name}
        return self._get("/v1/objects", {key: text for key, text in query.items() if text}, Objects)

    def changes(self, *, after: int) -> Changes:
        """What changed after a revision. Too long ago is a `RequestRefused` of status 410: list
        the objects, and follow from the revision of that answer."""
        from undermesh.wire.objects import Changes

        return self._get("/v1/changes", {"after": str(after)}, Changes)

    def follow(self, *, after: int | None = None) -> Iterator[ChangeRow]:
        """Changes after a revision (None: from now on) as they are made, while the agent lives."""
        from undermesh.wire.objects import ChangeRow

        query = {"follow": "1", **({} if after is None else {"after": str(after)})}
        for line in self._transport.stream("/v1/changes", query=query):
            if line.startswith(b'{"compacted"'):
                raise RequestRefused(status=410, title="Too long ago", detail="follow anew")
            yield self._decoded(line, ChangeRow)

    def close(self) -> None:
        """Closes the kept connection."""
        self._transport.close()

    def _post(self, verb: str, asked: Apply | Delete, kind: type[Answer]) -> Answer:
        from undermesh.wire.objects import BODY_LIMIT

        body = msgspec.json.encode(asked)
        if len(body) > BODY_LIMIT:
            detail = f"manifests of {len(body)} bytes, and at most {BODY_LIMIT} are taken at once"
            raise RequestRefused(status=413, title="Too large", detail=detail)
        return self._decoded(self._transport.ask("POST", f"/v1/objects:{verb}", body=body), kind)

    def _get(self, path: str, query: Mapping[str, str], kind: type[Answer]) -> Answer:
        return self._decoded(self._transport.ask("GET", path, query=query), kind)

    def _decoded(self, payload: bytes, kind: type[Answer]) -> Answer:
        answer = self._decode(payload, kind)
        assert isinstance(answer, kind)
        return answer
