# SPDX-License-Identifier: Apache-2.0
"""What state an endpoint is in for a port of its service, and why: `explain` shows `str`."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeAlias

from undermesh.model.service import ANY_NETNS, Address, Netns


class EndpointKey(NamedTuple):
    """One endpoint of one service: verdicts of checks are found by it."""

    address: Address
    port: int
    netns: Netns = ANY_NETNS

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        where = f" in netns {self.netns}" if self.netns else ""
        return f"{host}:{self.port}{where}"


@dataclass(frozen=True, slots=True)
class Ready:
    """May be chosen."""

    def __str__(self) -> str:
        return "ready"


@dataclass(frozen=True, slots=True)
class NotReady:
    """Its manifest says that it is not ready."""

    def __str__(self) -> str:
        return "not ready: its manifest says so"


@dataclass(frozen=True, slots=True)
class Draining:
    """No new connections; open ones are left alone until the drain time-out."""

    def __str__(self) -> str:
        return "draining: no new connections, open ones until the drain time-out"


@dataclass(frozen=True, slots=True)
class CheckFailed:
    """An active check says that it is dead. `why` is the prober's: "connect: refused (3 times)"."""

    why: str

    def __str__(self) -> str:
        return f"check failed: {self.why}"


@dataclass(frozen=True, slots=True)
class Ejected:
    """The kernel's counters put it out for a while. `until` is shown, nobody here reads a clock."""

    why: str
    until: datetime | None = None

    def __str__(self) -> str:
        until = f" until {self.until:%H:%M:%S}" if self.until else ""
        return f"ejected{until}: {self.why}"


@dataclass(frozen=True, slots=True)
class NoSuchPort:
    """The service's port leads to one that this endpoint does not have."""

    wanted: int | str
    has: tuple[str, ...]

    def __str__(self) -> str:
        return f"has no port {self.wanted!r}; it has {', '.join(self.has) or 'none'}"


@dataclass(frozen=True, slots=True)
class NoWeight:
    """Its weight, or that of its split, is 0; or no split selects it."""

    why: str

    def __str__(self) -> str:
        return f"gets no share: {self.why}"


@dataclass(frozen=True, slots=True)
class WrongNetns:
    """It is reached from its own network namespace only, and the caller is in another."""

    netns: Netns

    def __str__(self) -> str:
        return f"answers in network namespace {self.netns} only"


@dataclass(frozen=True, slots=True)
class WrongFamily:
    """An IPv4 caller does not reach an IPv6 endpoint; IPv6 callers prefer IPv6 endpoints."""

    def __str__(self) -> str:
        return "is of the other address family"


@dataclass(frozen=True, slots=True)
class ElsewhereOnly:
    """The service never leaves the node (node-only), and this endpoint is on another."""

    node: str

    def __str__(self) -> str:
        return f"is on node {self.node or '(unknown)'} and the service stays on its own (node-only)"


Verdict: TypeAlias = CheckFailed | Ejected
"""What health checking says of an endpoint; one without a verdict is healthy."""

State: TypeAlias = (
    Ready
    | NotReady
    | Draining
    | CheckFailed
    | Ejected
    | NoSuchPort
    | NoWeight
    | WrongNetns
    | WrongFamily
    | ElsewhereOnly
)

READY = Ready()
NOT_READY = NotReady()
DRAINING = Draining()
