# SPDX-License-Identifier: Apache-2.0
"""POST /v1/objects:apply, :diff, :delete; GET /v1/objects and /v1/changes."""

from typing import Any, Literal

from msgspec import Struct, field

from undermesh.wire import SCHEMA
from undermesh.wire.problems import Diagnostic

BODY_LIMIT = 64 << 20
"""Bytes of one request that carries manifests."""


class Source(Struct, kw_only=True, forbid_unknown_fields=True):
    """One text of manifests and the name errors call it by: its path, "-" for stdin."""

    name: str
    text: str


class Apply(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Manifests to be stored, or for objects:diff to be compared. `namespace` is for those that
    name none. `revision`: only if desired state is still at it."""

    sources: list[Source]
    dry_run: bool = False
    namespace: str = "default"
    revision: int | None = None


class Ref(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One object by name. `kind` may be any name of a kind: "svc", "Workload"."""

    kind: str
    namespace: str = "default"
    name: str


class Delete(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Objects to be removed: those named, and those that `sources` say."""

    objects: list[Ref] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    namespace: str = "default"
    ignore_not_found: bool = False
    dry_run: bool = False


Verb = Literal["created", "configured", "unchanged", "deleted"]


class Outcome(Struct, kw_only=True):
    """What became of one object."""

    kind: str
    namespace: str
    name: str
    change: Verb


class Changed(Struct, kw_only=True):
    """Answer of objects:apply and objects:delete. `revision` is desired state's afterwards;
    `diagnostics` are warnings."""

    schema: int = SCHEMA
    revision: int
    dry_run: bool = False
    objects: list[Outcome]
    diagnostics: list[Diagnostic] = field(default_factory=list)


class Difference(Struct, kw_only=True):
    """One object as it is stored and as it is given; null where there is none."""

    kind: str
    namespace: str
    name: str
    change: Verb
    origin: str = ""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class Differences(Struct, kw_only=True):
    """Answer of objects:diff: only what differs."""

    schema: int = SCHEMA
    revision: int
    objects: list[Difference]
    unchanged: int = 0
    diagnostics: list[Diagnostic] = field(default_factory=list)


class ObjectRow(Struct, kw_only=True):
    """One stored object. `object` is the manifest as it was given; `summary` what it comes to, in a
    few words; `problem` why this version cannot read it, normally ""."""

    kind: str
    namespace: str
    name: str
    revision: int
    created: str
    changed: str
    origin: str = ""
    summary: str = ""
    problem: str = ""
    object: dict[str, Any]


class Objects(Struct, kw_only=True):
    """By kind, namespace and name. `revision` is where to follow changes from."""

    schema: int = SCHEMA
    revision: int
    objects: list[ObjectRow]


class ChangeRow(Struct, kw_only=True):
    """The last change of one object. `object` is null when it was deleted."""

    revision: int
    change: Literal["stored", "deleted"]
    kind: str
    namespace: str
    name: str
    object: dict[str, Any] | None = None


class Changes(Struct, kw_only=True):
    """Oldest first. `revision` is where to go on from."""

    schema: int = SCHEMA
    revision: int
    changes: list[ChangeRow]
