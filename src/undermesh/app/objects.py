# SPDX-License-Identifier: Apache-2.0
"""What users do with desired state: apply, diff, delete, get.

Everything given together is stored together or not at all. Checks between objects are made over all
that would be stored, and stored only where nothing came in between.
"""

import dataclasses
import threading
from collections.abc import Callable, Collection, Iterable, Sequence

from undermesh import manifests
from undermesh.app.bulk import building
from undermesh.app.desired import DesiredState, Reader, Snapshot
from undermesh.app.outcomes import (
    Invalid,
    Moved,
    NotStored,
    Outcome,
    Result,
    Verb,
    Wanted,
    compared,
    deleted,
    too_long,
    twice,
)
from undermesh.app.records import Stored, encoded
from undermesh.model.objects import Diagnostic, Object, ObjectKey

_ATTEMPTS = 5
_OBJECT_BYTES = 500
"""About what one takes as text."""

Checker = Callable[[Collection[Object]], tuple[Diagnostic, ...]]


class Objects:
    """The use cases over one desired state. Safe for use by several threads."""

    def __init__(
        self,
        state: DesiredState,
        *,
        read: Reader = manifests.read,
        check: Checker = manifests.check,
    ) -> None:
        self.state = state
        self._read = read
        self._check = check
        self._writing = threading.Lock()

    def get(self, wanted: Wanted) -> tuple[tuple[Stored, ...], int]:
        """What is stored, by key, and the revision to follow changes from."""
        snapshot = self.state.snapshot()
        found = wanted.among(snapshot.stored.keys())
        return tuple(snapshot.stored[key] for key in found), snapshot.revision

    def apply(
        self,
        sources: Sequence[manifests.Source],
        *,
        at_ns: int,
        dry_run: bool = False,
        expected: int | None = None,
    ) -> Result:
        """Stores what `sources` say, or (`dry_run`) tells what that would change.

        `expected`: only if this is still the revision of desired state. Raises Invalid, Moved.
        """
        with building(sum(len(source.text) for source in sources) // _OBJECT_BYTES):
            return self._apply(sources, at_ns=at_ns, dry_run=dry_run, expected=expected)

    def _apply(
        self,
        sources: Sequence[manifests.Source],
        *,
        at_ns: int,
        dry_run: bool,
        expected: int | None,
    ) -> Result:
        given = self._read(sources)
        files = frozenset(source.name for source in sources)
        with self._writing:
            for _ in range(_ATTEMPTS):
                snapshot, beside = self.state.beside(given.objects)
                self._expect(snapshot, expected)
                warnings = self._judge(given, beside, files)
                outcomes = compared(snapshot, given.objects)
                result = Result(revision=snapshot.head, outcomes=outcomes, warnings=warnings)
                writes = _writes(snapshot, given.objects, outcomes, at_ns)
                if dry_run or not writes:
                    return result
                known = {object_.key: object_ for object_ in given.objects}
                after = self.state.commit(writes, head=snapshot.head, known=known)
                if after is not None:
                    return dataclasses.replace(result, revision=after.head)
        raise Moved(expected=None, revision=self.state.changed)

    def delete(
        self,
        wanted: Sequence[Wanted],
        sources: Sequence[manifests.Source] = (),
        *,
        ignore_not_found: bool = False,
        dry_run: bool = False,
    ) -> Result:
        """Removes what is named, and what `sources` say: all of it or nothing.

        Raises NotStored, Invalid (for sources that cannot be read), Moved.
        """
        given = self._read(sources)
        if given.errors:
            raise Invalid(given.diagnostics)
        with self._writing:
            for _ in range(_ATTEMPTS):
                snapshot = self.state.snapshot()
                keys, missing = _named(snapshot, wanted, given.objects)
                if missing and not ignore_not_found:
                    raise NotStored(missing, _namesakes(snapshot, wanted))
                outcomes = tuple(deleted(snapshot.stored[key]) for key in keys)
                result = Result(revision=snapshot.head, outcomes=outcomes)
                if dry_run or not keys:
                    return result
                after = self.state.commit(dict.fromkeys(keys), head=snapshot.head)
                if after is not None:
                    return dataclasses.replace(result, revision=after.head)
        raise Moved(expected=None, revision=self.state.changed)

    def _judge(
        self, given: manifests.Read, beside: Sequence[Object], files: frozenset[str]
    ) -> tuple[Diagnostic, ...]:
        """Warnings about `given` beside what is stored. Raises Invalid.

        What is wrong already with objects that are not given is no reason to refuse those that are.
        """
        union = {object_.key: object_ for object_ in (*beside, *given.objects)}
        found = self._check(union.values())
        known = frozenset(self._check(beside)) if found else frozenset()
        ours = [one for one in found if one.file in files or one not in known]
        all_ = (*given.diagnostics, *twice(given.objects), *too_long(given.objects), *ours)
        said = tuple(dict.fromkeys(all_))
        if any(one.severity == "error" for one in said):
            raise Invalid(sorted(said, key=lambda one: (one.file, one.line, one.column)))
        return said

    @staticmethod
    def _expect(snapshot: Snapshot, expected: int | None) -> None:
        if expected not in (None, snapshot.head):
            raise Moved(expected=expected, revision=snapshot.head)


def _writes(
    snapshot: Snapshot, given: Iterable[Object], outcomes: Iterable[Outcome], at_ns: int
) -> dict[ObjectKey, bytes | None]:
    writes: dict[ObjectKey, bytes | None] = {}
    for object_, outcome in zip(given, outcomes, strict=True):
        if outcome.verb is not Verb.UNCHANGED:
            there = snapshot.stored.get(object_.key)
            created_ns = at_ns if there is None else there.created_ns
            writes[object_.key] = encoded(object_, created_ns=created_ns, changed_ns=at_ns)
    return writes


def _named(
    snapshot: Snapshot, wanted: Iterable[Wanted], given: Iterable[Object]
) -> tuple[list[ObjectKey], list[str]]:
    """The keys that are there, each once, and names of those that are not."""
    keys: dict[ObjectKey, None] = {}
    missing: list[str] = []
    for one in wanted:
        found = one.among(snapshot.stored.keys())
        keys.update(dict.fromkeys(found))
        if not found and one.name is not None:
            missing.append(str(one))
    for object_ in given:
        if object_.key in snapshot.stored:
            keys[object_.key] = None
        else:
            missing.append(str(object_.key))
    return list(keys), missing


def _namesakes(snapshot: Snapshot, wanted: Sequence[Wanted]) -> list[ObjectKey]:
    """What has a name that was wanted, in other namespaces."""
    others = [dataclasses.replace(one, namespace=None) for one in wanted if one.name is not None]
    return [key for one in others[:5] for key in one.among(snapshot.stored.keys())]
