# SPDX-License-Identifier: Apache-2.0
"""What steering needs from the edges."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from undermesh.app.desired import Touched
from undermesh.app.ports import Structured
from undermesh.compile.desired import NameEntry
from undermesh.model.objects import Object
from undermesh.model.service import Address, ServiceId, ServiceName
from undermesh.reconcile.actual import Actual
from undermesh.reconcile.steps import Step
from undermesh.traffic.selecting import HostWorkload


class Wanted(Protocol):
    """Desired state, understood."""

    @property
    def changed(self) -> int:
        """A number that moves with every change."""
        ...

    def objects(self) -> tuple[Object, ...]: ...
    def touched(self, *, since: int) -> Touched | None:
        """What changed after that number; None where that is not known."""
        ...


class Tables(Protocol):
    """The kernel's tables of services. Raises KernelError, after which nothing is remembered."""

    def actual(self) -> Actual: ...
    def perform(self, steps: Sequence[Step]) -> None: ...
    def loads(self) -> Structured:
        """um_loads, by backend number; a copy."""
        ...


class Given(Protocol):
    """Addresses and numbers services were given, kept across restarts."""

    def read(self) -> tuple[dict[ServiceName, tuple[Address, ...]], dict[ServiceName, ServiceId]]:
        """All that is known, those of services that are gone included."""
        ...

    def next(self) -> int:
        """The first number that was never given."""
        ...

    def write(
        self,
        fresh: Mapping[ServiceName, tuple[ServiceId, tuple[Address, ...]]],
        *,
        following: int,
    ) -> None:
        """Kept when this returns: before anything of it is in the kernel."""
        ...


class Inhabitants(Protocol):
    """The host's workloads and where they are reached."""

    def hosts(self) -> Sequence[HostWorkload]:
        """Those that are there. The same object while nothing changed."""
        ...


class Names(Protocol):
    """Who answers for names (the responder)."""

    def set_names(self, entries: Iterable[NameEntry]) -> None: ...
