# SPDX-License-Identifier: Apache-2.0
"""What a connection speaks, how an attempt to open one fails, what DNS answers."""

from enum import StrEnum


class Protocol(StrEnum):
    """What was recognised in the first bytes of a connection, whatever its port."""

    HTTP = "http"
    HTTP2 = "http2"
    TLS = "tls"
    TCP = "tcp"
    UDP = "udp"
    DNS = "dns"

    @property
    def counts_requests(self) -> bool:
        """Rows of this protocol count requests; the others count connections only."""
        return self in (Protocol.HTTP, Protocol.DNS)


class Transport(StrEnum):
    """The layer below."""

    TCP = "tcp"
    UDP = "udp"


class Failure(StrEnum):
    """Why a connection never came to be."""

    REFUSED = "refused"
    RESET = "reset"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    ABORTED = "aborted"
    """The caller gave up first."""
    OTHER = "other"


STATUS_CUT = 0
"""In place of an HTTP status: the connection ended before the request was answered."""

RCODE_UNANSWERED = 0xFFFF
"""In place of an rcode: nobody answered the query."""

_RCODES = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
    6: "YXDOMAIN",
    7: "YXRRSET",
    8: "NXRRSET",
    9: "NOTAUTH",
    10: "NOTZONE",
    RCODE_UNANSWERED: "UNANSWERED",
}

HEALTHY_RCODES = frozenset({0, 3})
"""NOERROR and NXDOMAIN: the server did its work. Every other answer is an error."""


def rcode_name(rcode: int) -> str:
    """The mnemonic of a DNS response code (RFC 6895 2.3), "RCODE17" for one without."""
    return _RCODES.get(rcode, f"RCODE{rcode}")
