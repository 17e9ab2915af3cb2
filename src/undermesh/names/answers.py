# SPDX-License-Identifier: Apache-2.0
"""What is asked and what is answered, between messages and the zone. Pure."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from undermesh.model.service import ANY_NETNS, Address, Netns

OWN = "svc.mesh"
"""The domain all of which is ours."""

DEFAULT_HOME = "default"


class Kind(IntEnum):
    """Record types of RFC 1035, 2782, 3596 and their kin that are told apart here."""

    A = 1
    CNAME = 5
    SOA = 6
    PTR = 12
    AAAA = 28
    SRV = 33
    AXFR = 252
    ANY = 255


class Rcode(IntEnum):
    """RFC 1035 4.1.1."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class Target:
    """What an SRV record says."""

    weight: int
    port: int
    host: str


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `data` is an address, a name (CNAME, PTR), or a Target."""

    name: str
    kind: Kind
    data: Address | str | Target


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: lower case, without the last dot. `home` is the namespace of who asks."""

    name: str
    kind: int
    home: str = DEFAULT_HOME
    netns: Netns = ANY_NETNS


@dataclass(frozen=True, slots=True)
class Answer:
    """Ours. `zone` is whose SOA goes with an answer that holds nothing (RFC 2308)."""

    rcode: Rcode = Rcode.NOERROR
    answers: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    zone: str = OWN


@dataclass(frozen=True, slots=True)
class Chase:
    """Ours, and an alias of something the resolver has to be asked for."""

    aliases: tuple[Record, ...]
    target: str


@dataclass(frozen=True, slots=True)
class NotOurs:
    """For the resolver that was asked."""


Outcome: TypeAlias = Answer | Chase | NotOurs
NOT_OURS = NotOurs()
