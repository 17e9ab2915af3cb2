# SPDX-License-Identifier: Apache-2.0
"""Who may be sent traffic, and why not: what checks found, what counters say, what is shown.

Times are nanoseconds of CLOCK_MONOTONIC.
"""

from dataclasses import dataclass
from enum import StrEnum

from undermesh.model.service import ANY_NETNS, Address, Netns, ServiceName


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint at one port of one service. The same process behind two services is two of
    them: each service checks in its own way."""

    service: ServiceName
    address: Address
    port: int
    netns: Netns = ANY_NETNS

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        place = f" in network namespace {self.netns}" if self.netns else ""
        return f"{self.service} at {host}:{self.port}{place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What active checking says of a target that has been checked at least once.

    `since_ns` is when it became what it is; `latency_ns` is what the last check took.
    """

    target: Target
    healthy: bool
    since_ns: int
    reason: str
    latency_ns: int


class Standing(StrEnum):
    """What an endpoint is to its service, worst reason first."""

    DRAINING = "draining"
    NOT_READY = "not-ready"
    UNHEALTHY = "unhealthy"
    WAITING = "waiting"
    """New, and its first check has not come back."""
    EJECTED = "ejected"
    HEALTHY = "healthy"
    UNCHECKED = "unchecked"
    """Nobody checks it; it is taken at its manifest's word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The one state of one target. `usable`: new connections may be sent to it.

    `since_ns` is when it came to be in this standing.
    """

    usable: bool
    standing: Standing
    reason: str
    since_ns: int
