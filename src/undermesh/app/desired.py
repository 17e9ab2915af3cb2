# SPDX-License-Identifier: Apache-2.0
"""Desired state as it is stored, understood once: what the reconcile loop reads.

Keys are /desired/<kind>/<namespace>/<name>. The key /desired is written in every transaction: that
it still stands where it stood proves that nothing came in between, so what was checked between
objects was checked against what is really there.
"""

import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from undermesh import manifests
from undermesh.app.bulk import building
from undermesh.app.desired_ports import Compacted, DesiredStore, Write
from undermesh.app.records import PREFIX, Stored, decoded, key_of, path_of, placed
from undermesh.app.related import Related
from undermesh.model.objects import Object, ObjectKey
from undermesh.model.service import EndpointSet, Service, ServiceName

HEAD = "/desired"

_REMEMBERED = 256
"""Changes whose services are remembered."""

Reader = Callable[[Sequence[manifests.Source]], manifests.Read]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that is stored, at one revision. `head` is the revision of the last change to any
    of it; `revision` is the store's, to go on from."""

    head: int
    revision: int
    stored: MappingProxyType[ObjectKey, Stored]
    objects: tuple[Object, ...]
    """Those that can be read, by key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What changed between two heads: services, by what is said now and what was said before;
    `others` is whether anything but services and their endpoints did (a Workload, a Priority)."""

    services: frozenset[ServiceName]
    others: bool


_NO_OBJECTS: Mapping[ObjectKey, Object] = MappingProxyType({})
_NOTHING = Snapshot(head=0, revision=-1, stored=MappingProxyType({}), objects=())


class DesiredState:
    """The stored objects, each parsed once. Safe for use by several threads."""

    def __init__(self, store: DesiredStore, *, read: Reader = manifests.read) -> None:
        self._store = store
        self._read = read
        self._lock = threading.Lock()
        self._snapshot = _NOTHING
        self._related = Related()
        self._recent: deque[tuple[int, int, Touched]] = deque(maxlen=_REMEMBERED)
        """(head before, head after, what changed between)."""
        self._known: Mapping[ObjectKey, Object] = {}
        """What is being stored: whoever is woken by it need not read it again."""

    @property
    def changed(self) -> int:
        """A number that moves with every change: the revision of the last one, 0 before any."""
        head = self._store.get(HEAD)
        return head.revision if head is not None else 0

    def objects(self) -> tuple[Object, ...]:
        """All objects with their specs, by key. The same tuple until something changes."""
        return self.snapshot().objects

    def snapshot(self) -> Snapshot:
        """All that is stored, as it stands now."""
        with self._lock:
            return self._now()

    def beside(self, given: Iterable[Object]) -> tuple[Snapshot, tuple[Object, ...]]:
        """All that is stored, and of it what has to be looked at to tell whether `given` may be."""
        with self._lock:
            return self._now(), self._related.to(given)

    def touched(self, *, since: int) -> Touched | None:
        """What changed after the snapshot with head `since`, up to `snapshot()`; None where that is
        too long ago to be told, or there is no such head: then anything may have."""
        with self._lock:
            if self._now().head == since:
                return Touched(services=frozenset(), others=False)
            steps = list(self._recent)
        starts = [place for place, (before, _, _) in enumerate(steps) if before == since]
        if not starts:
            return None
        changes = [change for _, _, change in steps[starts[-1] :]]
        return Touched(
            services=frozenset().union(*(change.services for change in changes)),
            others=any(change.others for change in changes),
        )

    def follow(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls `wake` after every change, in the thread that made it: it must only take note.
        Answers how to end that."""
        return self._store.follow(wake)

    def changes(self, *, after: int) -> tuple[Sequence[tuple[ObjectKey, Stored | None, int]], int]:
        """(key, as it stands or None for removed, revision) of what changed after a revision,
        oldest first, and the revision to go on from. Raises Compacted."""
        found, revision = self._store.changes(PREFIX, after=after)
        stored = self.snapshot().stored
        return [
            (key, None if one.value is None else stored.get(key), one.revision)
            for one in found
            if (key := key_of(one.key)) is not None
        ], revision

    def commit(
        self,
        records: Mapping[ObjectKey, bytes | None],
        *,
        head: int,
        known: Mapping[ObjectKey, Object] = _NO_OBJECTS,
    ) -> Snapshot | None:
        """Stores or (None) removes objects, all at once: what is stored then; or None and nothing
        done, because something changed since the snapshot with that `head`.

        `known` are the objects of `records`, which are then not read again.
        """
        writes = [Write(key=path_of(key), value=value) for key, value in records.items()]
        with self._lock:
            self._known = known
        try:
            done = self._store.commit([Write(key=HEAD, value=b"", expected=head), *writes])
            return self.snapshot() if done.done else None
        finally:
            with self._lock:
                self._known = _NO_OBJECTS

    def _now(self) -> Snapshot:
        head = self.changed
        if head != self._snapshot.head or self._snapshot is _NOTHING:
            self._snapshot = self._caught_up(head)
        return self._snapshot

    def _caught_up(self, head: int) -> Snapshot:
        before = self._snapshot
        try:
            if before is _NOTHING:
                raise Compacted(after=-1, oldest=0, revision=0)
            found, revision = self._store.changes(PREFIX, after=before.revision)
            stored = before.stored.copy()
            gone = {key for one in found if one.value is None and (key := key_of(one.key))}
            rows = [(one.key, one.value, one.revision) for one in found if one.value is not None]
        except Compacted:
            stored = {}
            entries, revision = self._store.range(PREFIX)
            rows = [(one.key, one.value, one.revision) for one in entries]
            gone = before.stored.keys() - {key_of(path) for path, _, _ in rows}
        for key in gone:
            stored.pop(key, None)
            self._related.remove(key)
        count = len(stored)
        with building(len(rows)):
            stored.update(self._understood(rows, before.stored))
            if len(stored) != count:
                stored = dict(sorted(stored.items(), key=_by_key))
            if before is not _NOTHING:
                keys = gone | {key for path, _, _ in rows if (key := key_of(path))}
                step = _touched(keys, before.stored, stored)
                self._recent.append((before.head, head, step))
            objects = tuple(one.object for one in stored.values() if one.object is not None)
        return Snapshot(
            head=head, revision=revision, stored=MappingProxyType(stored), objects=objects
        )

    def _understood(
        self, rows: Sequence[tuple[str, bytes, int]], before: Mapping[ObjectKey, Stored]
    ) -> dict[ObjectKey, Stored]:
        """Rows of the store as objects; read are only those that are neither known nor as they
        were."""
        made: dict[ObjectKey, Stored] = {}
        unread: dict[str, Stored] = {}
        for path, value, revision in rows:
            key = key_of(path)
            if key is None:
                continue
            made[key] = one = decoded(key, value, revision)
            known = self._known.get(key) or _object(before.get(key))
            if known is not None and known.document == one.document:
                made[key] = dataclasses.replace(one, object=placed(known, one.origin))
            else:
                unread[str(key)] = one
        self._read_into(made, unread)
        for key, one in made.items():
            if one.object is None:
                self._related.remove(key)
            else:
                self._related.put(one.object)
        return made

    def _read_into(self, made: dict[ObjectKey, Stored], unread: Mapping[str, Stored]) -> None:
        read = self._read([_source(name, one) for name, one in unread.items()])
        objects = {object_.key: object_ for object_ in read.objects}
        problems = {one.file: str(one) for one in reversed(read.errors)}
        for name, one in unread.items():
            object_ = objects.get(one.key)
            problem = "" if object_ is not None else problems.get(name, "it is no such object")
            made[one.key] = dataclasses.replace(one, object=object_, problem=problem)


def _touched(keys: Iterable[ObjectKey | None], *sides: Mapping[ObjectKey, Stored]) -> Touched:
    services: set[ServiceName] = set()
    others = False
    for key in keys:
        for side in sides:
            object_ = _object(side.get(key)) if key is not None else None
            for spec in object_.specs if object_ is not None else ():
                if isinstance(spec, Service):
                    services.add(spec.name)
                elif isinstance(spec, EndpointSet):
                    services.add(spec.service)
                else:
                    others = True
    return Touched(services=frozenset(services), others=others)


def _source(name: str, stored: Stored) -> manifests.Source:
    return manifests.Source(name, stored.document, origin=stored.origin)


def _object(stored: Stored | None) -> Object | None:
    return None if stored is None else stored.object


def _by_key(item: tuple[ObjectKey, Stored]) -> tuple[str, str, str]:
    key = item[0]
    return key.kind, key.namespace, key.name
