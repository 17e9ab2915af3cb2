# SPDX-License-Identifier: Apache-2.0
"""Label set → number.

0 is unknown, 1..255 are reserved entities, 256..2**24-1 are given cluster-wide by compare-and-swap
so that two nodes never give one number to two label sets, and what is above is a node's own and
never leaves it. 24 bits, because an identity is to fit into 127.x.y.z (DESIGN, identity).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, Protocol

from undermesh.identity.labels import canonical, parse_canonical
from undermesh.model.workload import IdentityId

UNKNOWN = IdentityId(0)
WORLD = IdentityId(1)
HOST = IdentityId(2)
FIRST = IdentityId(256)
CLUSTER_MAX = IdentityId(2**24 - 1)
LOCAL_FIRST = IdentityId(2**24)
LOCAL_MAX = IdentityId(2**32 - 1)

RESERVED: Mapping[IdentityId, str] = MappingProxyType(
    {UNKNOWN: "unknown", WORLD: "world", HOST: "host"}
)
"""The entities that have a number of their own. Numbers are never given again to another."""

Scope = Literal["reserved", "cluster", "node"]

_PREFIX = "/identities/"
_BY_LABELS = "/identity-of/"
_NEXT = "/identity-next"
_ATTEMPTS = 64


def scope_of(identity: IdentityId) -> Scope:
    """How far a number means the same. Raises ValueError for what is none."""
    if not 0 <= identity <= LOCAL_MAX:
        raise ValueError(f"{identity} is not an identity (0 to {LOCAL_MAX})")
    if identity < FIRST:
        return "reserved"
    return "cluster" if identity <= CLUSTER_MAX else "node"


class IdentitiesExhausted(Exception):
    """Every number up to CLUSTER_MAX is taken, or others took each one that was tried."""

    def __init__(self, tried: int) -> None:
        super().__init__(
            f"giving an identity to a label set: {tried} numbers were tried and all are taken; "
            "identities of workloads that are gone for good can be released"
        )
        self.tried = tried


class Stored(Protocol):
    """A key as the store has it."""

    @property
    def key(self) -> str: ...
    @property
    def value(self) -> bytes: ...
    @property
    def revision(self) -> int: ...


class Swapped(Protocol):
    """What the store answers to a compare-and-swap."""

    @property
    def done(self) -> bool: ...
    @property
    def current(self) -> Stored | None: ...


class Allocator(Protocol):
    """What keeps the numbers: a store with compare-and-swap, shared by all nodes or a node's own.

    A key's revision grows with each change; `expected` 0 means that it must not exist, and value
    None removes it.
    """

    def get(self, key: str) -> Stored | None: ...
    def range(self, prefix: str) -> Sequence[Stored]: ...
    def compare_and_swap(self, key: str, *, expected: int, value: bytes | None) -> Swapped: ...


class Identities:
    """Gives label sets their numbers, the same ones after a restart and on every node.

    Two keys a number: /identities/<n> → labels claims it, /identity-of/<labels> → n finds it. The
    claim comes first; a crash in between leaves a number that nobody uses, never one used twice.
    What was asked for is remembered until it is released.
    """

    def __init__(self, allocator: Allocator) -> None:
        self._allocator = allocator
        self._known: dict[str, IdentityId] = {}

    def __len__(self) -> int:
        return len(self._known)

    def number(self, labels: Mapping[str, str]) -> IdentityId:
        """The number of a label set, given now if it has none. Raises IdentitiesExhausted."""
        text = canonical(labels)
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = self._find(text) or self._give(text)
        return known

    def labels(self, identity: IdentityId) -> Mapping[str, str] | None:
        """The label set behind a number; None for one that was not given."""
        found = self._allocator.get(f"{_PREFIX}{identity}")
        return None if found is None else parse_canonical(found.value.decode())

    def release(self, identities: Iterable[IdentityId]) -> None:
        """Takes numbers back from label sets that are gone for good. They are given again last."""
        for identity in identities:
            claim = self._allocator.get(f"{_PREFIX}{identity}")
            if claim is None:
                continue
            text = claim.value.decode()
            self._known.pop(text, None)
            finder = self._allocator.get(_finder(text))
            if finder is not None and int(finder.value) == identity:
                self._allocator.compare_and_swap(
                    _finder(text), expected=finder.revision, value=None
                )
            self._allocator.compare_and_swap(claim.key, expected=claim.revision, value=None)

    def _find(self, text: str) -> IdentityId | None:
        found = self._allocator.get(_finder(text))
        return None if found is None else IdentityId(int(found.value))

    def _give(self, text: str) -> IdentityId:
        for _ in range(_ATTEMPTS):
            identity = self._claim_next(text)
            if identity is None:
                continue
            swapped = self._allocator.compare_and_swap(
                _finder(text), expected=0, value=b"%d" % identity
            )
            if swapped.done or swapped.current is None:
                return identity
            # Another node gave this label set a number meanwhile: theirs counts, ours goes back.
            self._allocator.compare_and_swap(
                f"{_PREFIX}{identity}", expected=self._revision(identity), value=None
            )
            return IdentityId(int(swapped.current.value))
        raise IdentitiesExhausted(_ATTEMPTS)

    def _claim_next(self, text: str) -> IdentityId | None:
        """The next number in turn, claimed for a label set; None when others were quicker."""
        turn = self._allocator.get(_NEXT)
        identity = int(turn.value) if turn is not None else int(FIRST)
        after = identity + 1 if identity < CLUSTER_MAX else int(FIRST)
        moved = self._allocator.compare_and_swap(
            _NEXT, expected=turn.revision if turn is not None else 0, value=b"%d" % after
        )
        if not moved.done:
            return None
        claimed = self._allocator.compare_and_swap(
            f"{_PREFIX}{identity}", expected=0, value=text.encode()
        )
        return IdentityId(identity) if claimed.done else None

    def _revision(self, identity: IdentityId) -> int:
        found = self._allocator.get(f"{_PREFIX}{identity}")
        return 0 if found is None else found.revision


def _finder(text: str) -> str:
    """Where the number of a label set is found. Keys have a limit: a long set is hashed, with a
    hash that nobody can make two sets share."""
    if len(text) > 600:
        digest = hashlib.blake2b(text.encode(), digest_size=32).hexdigest()
        return f"{_BY_LABELS}{text[:256]}~{digest}"
    return _BY_LABELS + text
