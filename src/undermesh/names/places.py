# SPDX-License-Identifier: Apache-2.0
"""What the responder asks of others: the kernel's side of the capture, and network namespaces."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from undermesh.model.service import Address, Netns

T = TypeVar("T")


class Place(Protocol):
    """A network namespace sockets can be made in."""

    @property
    def cookie(self) -> Netns:
        """The kernel's number for it."""

    @property
    def home(self) -> str:
        """The service namespace of those who live there: `cart` means `cart` of that one."""

    def call(self, do: Callable[[], T], /) -> T:
        """Calls `do` in there, in another thread, and waits. Raises OSError when it is gone."""


class Capture(Protocol):
    """The maps of the programs that take queries to the responder."""

    @property
    def port(self) -> int:
        """Where queries to IPv4 resolvers arrive, on 127.53.0.0/16, whose low 16 bits are the slot;
        those to IPv6 resolvers arrive on ::1, at the ports after it."""

    @property
    def slots(self) -> int:
        """How many slots there are for IPv4; those for IPv6 follow."""

    @property
    def slots6(self) -> int:
        """How many slots there are for IPv6."""

    def use(self, port: int) -> None:
        """Another port than that, from the next `publish` on."""

    def resolver(self, slot: int) -> Address | None:
        """The resolver of a slot; None when it was never given."""

    def used6(self) -> int:
        """How many IPv6 resolvers have been asked so far."""

    def publish(self, servers: Mapping[Netns, int]) -> None:
        """Says where a responder lives and how many ports it has on ::1, and that it is well."""

    def tag_answering(self, descriptor: int, netns: Netns) -> None:
        """This socket answers in `netns`: when it goes, nothing more is taken there."""

    def tag_asking(self, descriptor: int) -> None:
        """This socket asks resolvers: what it sends is never taken."""
