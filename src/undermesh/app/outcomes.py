# SPDX-License-Identifier: Apache-2.0
"""What applying and deleting come to: per object what becomes of it, or why nothing is done."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from undermesh.app.desired import Snapshot
from undermesh.app.desired_ports import VALUE_LIMIT
from undermesh.app.records import Stored, encoded
from undermesh.model.kinds import KINDS
from undermesh.model.objects import Diagnostic, Object, ObjectKey


class Verb(StrEnum):
    """What becomes of an object."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One object, and its documents before and after (canonical JSON; None where there is none)."""

    key: ObjectKey
    verb: Verb
    origin: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`revision` is that of the last change to desired state. `warnings` keep nothing from being
    done."""

    revision: int
    outcomes: tuple[Outcome, ...]
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to get or delete: kinds (any of them), a namespace and a name (None: every)."""

    kinds: tuple[str, ...] = KINDS
    namespace: str | None = None
    name: str | None = None

    def among(self, keys: Collection[ObjectKey]) -> list[ObjectKey]:
        """Those of `keys` that are wanted."""
        if self.namespace is not None and self.name is not None:
            exact = (ObjectKey(kind, self.namespace, self.name) for kind in self.kinds)
            return [key for key in exact if key in keys]
        return [key for key in keys if self._has(key)]

    def _has(self, key: ObjectKey) -> bool:
        return (
            key.kind in self.kinds
            and self.namespace in (None, key.namespace)
            and self.name in (None, key.name)
        )

    def __str__(self) -> str:
        kind = self.kinds[0] if self.kinds else "?"
        return f"{kind}/{self.namespace or '*'}/{self.name or '*'}"


class Invalid(Exception):
    """Manifests that cannot be stored; `diagnostics` has everything that is wrong with them."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        errors = sum(one.severity == "error" for one in diagnostics)
        super().__init__(f"{errors} error{'s' if errors != 1 else ''}; nothing was changed")
        self.diagnostics = tuple(diagnostics)


class NotStored(Exception):
    """What was to be deleted is not there; `what` names it, `elsewhere` where such a name is."""

    def __init__(self, what: Sequence[str], elsewhere: Sequence[ObjectKey]) -> None:
        text = f"not stored: {', '.join(what[:10])}{', …' if len(what) > 10 else ''}"
        if elsewhere:
            text += f"; there is {', '.join(str(key) for key in elsewhere[:5])}"
        super().__init__(text)
        self.what = tuple(what)
        self.elsewhere = tuple(elsewhere)


class Moved(Exception):
    """Desired state is not at the revision the caller expects, or changed under us again and again.

    `revision` is where it is.
    """

    def __init__(self, *, expected: int | None, revision: int) -> None:
        if expected is None:
            super().__init__("others kept changing desired state meanwhile; try again")
        else:
            super().__init__(
                f"desired state is at revision {revision}, not {expected}: somebody changed it "
                "since; look at it again"
            )
        self.revision = revision


def compared(snapshot: Snapshot, given: Iterable[Object]) -> tuple[Outcome, ...]:
    """What becomes of objects that are given."""
    outcomes = []
    for object_ in given:
        there = snapshot.stored.get(object_.key)
        if there is None:
            verb = Verb.CREATED
        else:
            same = there.document == object_.document
            verb = Verb.UNCHANGED if same else Verb.CONFIGURED
        outcomes.append(
            Outcome(
                key=object_.key,
                verb=verb,
                origin=object_.origin,
                before=None if there is None else there.document,
                after=object_.document,
            )
        )
    return tuple(outcomes)


def deleted(stored: Stored) -> Outcome:
    """What becomes of one that is taken out."""
    return Outcome(
        key=stored.key,
        verb=Verb.DELETED,
        origin=stored.origin,
        before=stored.document,
        after=None,
    )


def twice(given: Iterable[Object]) -> list[Diagnostic]:
    """Objects that are given more than once."""
    first: dict[ObjectKey, Object] = {}
    found = []
    for object_ in given:
        other = first.setdefault(object_.key, object_)
        if other is not object_:
            found.append(_about(object_, f"{object_.key} is given twice", f"see {other.origin}"))
    return found


def too_long(given: Iterable[Object]) -> list[Diagnostic]:
    """Objects that no store takes."""
    found = []
    for object_ in given:
        if len(object_.document) > VALUE_LIMIT // 2:
            size = len(encoded(object_, created_ns=2**62, changed_ns=2**62))
            if size > VALUE_LIMIT:
                message = f"{object_.key} takes {size} bytes, compressed"
                allowed = f"at most {VALUE_LIMIT}; list endpoints in several EndpointSlices"
                found.append(_about(object_, message, allowed))
    return found


def _about(object_: Object, message: str, allowed: str) -> Diagnostic:
    file, _, line = object_.origin.rpartition(":")
    return Diagnostic(
        file=file or object_.origin,
        line=int(line) if line.isdecimal() else 1,
        column=1,
        field="",
        message=message,
        allowed=allowed,
    )
