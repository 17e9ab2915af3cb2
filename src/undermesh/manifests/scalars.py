# SPDX-License-Identifier: Apache-2.0
"""Texts that mean something: durations, rates, addresses, names.

Each parser raises ValueError saying what is wrong; each type of a field names its parser, so that
`explain` says the same where a whole document is gone through.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Annotated, TypeAlias

from msgspec import Meta

from undermesh.model.service import Address

_DURATION = re.compile(r"(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|us|µs|s|m|h|d))")
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = timedelta(days=365)

_RATE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([kmgt]?)(bit|bps)", re.IGNORECASE)
_SCALE = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000, "t": 1_000_000_000_000}

_OCTETS = {str(number): number for number in range(256)}

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_HOST = r"[A-Za-z0-9_](?:[-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
LABEL = rf"^{_LABEL}\Z"
SUBDOMAIN = rf"^(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z"
HOST = rf"^(?=.{{1,254}}\Z){_HOST}(?:\.{_HOST})*\.?\Z"
PORT_NAME = rf"^(?=.*[a-z]){_LABEL}\Z"
REFERENCE = rf"^(?:{_LABEL}/)?{_LABEL}\Z"

DSCP_NAMES = {
    "default": 0, "cs0": 0, "cs1": 8, "cs2": 16, "cs3": 24, "cs4": 32, "cs5": 40, "cs6": 48,
    "cs7": 56, "af11": 10, "af12": 12, "af13": 14, "af21": 18, "af22": 20, "af23": 22, "af31": 26,
    "af32": 28, "af33": 30, "af41": 34, "af42": 36, "af43": 38, "va": 44, "ef": 46, "le": 1,
}  # fmt: skip
"""Code points by the names of RFC 2474, 2597, 3246, 5865 and 8622."""


def duration(text: str) -> timedelta:
    """`500ms`, `10s`, `1m30s`, `2h`, as Go writes them; not negative, at most a year."""
    total, at = 0.0, 0
    while match := _DURATION.match(text, at):
        total += float(match[1]) * _SECONDS[match[2]]
        at = match.end()
    if text == "0":
        return timedelta()
    if not text or at != len(text):
        raise ValueError("is not a duration")
    if total > _LONGEST.total_seconds():
        raise ValueError("is longer than a year")
    return timedelta(seconds=total)


def positive(text: str) -> timedelta:
    """A duration that lasts."""
    lasting = duration(text)
    if not lasting:
        raise ValueError("is no time at all")
    return lasting


def rate(text: str) -> int:
    """`800kbit`, `10mbit`, `2.5gbit`, as tc writes them: bits per second, decimal."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError("is not a rate")
    bits = round(float(match[1]) * _SCALE[match[2].lower()])
    if not 0 < bits < 2**63:
        raise ValueError("is not a rate anything is sent at")
    return bits


def address(text: str) -> Address:
    """An IPv4 or IPv6 address, without a zone."""
    try:
        return IPv4Address(_dotted(text))
    except (KeyError, ValueError):  # not four numbers of one spelling each
        pass
    if "%" in text:
        raise ValueError("names an interface; an address means the same on every host")
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError("is not an IP address") from None


def _dotted(text: str) -> int:
    """The number of an IPv4 address, in a fourth of the time ip_address() takes: there are many."""
    first, second, third, fourth = text.split(".")
    return _OCTETS[first] << 24 | _OCTETS[second] << 16 | _OCTETS[third] << 8 | _OCTETS[fourth]


def network(text: str) -> str:
    """An address range, `10.0.0.0/8`."""
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        raise ValueError("is not an address range") from None


def label(text: str) -> str:
    """A name DNS can say as one label (RFC 1123), in lower case."""
    return _fitting(LABEL, text, "is not a name DNS can say")


def subdomain(text: str) -> str:
    """A name of labels and dots (RFC 1123), in lower case, at most 253 characters."""
    return _fitting(SUBDOMAIN, text, "is not a name")


def host(text: str) -> str:
    """A host name as a user may write it: any case, underscores, a dot at the end."""
    return _fitting(HOST, text, "is not a host name").removesuffix(".").lower()


def port_name(text: str) -> str:
    """The name of a port: a DNS label with at least one letter."""
    return _fitting(PORT_NAME, text, "is not the name of a port")


def service_reference(text: str) -> str:
    """`name` or `namespace/name`."""
    return _fitting(REFERENCE, text, "is not the name of a service")


def _fitting(pattern: str, text: str, otherwise: str) -> str:
    if not re.search(pattern, text):
        raise ValueError(otherwise)
    return text


def dscp(text: str) -> int:
    """A code point by name, `EF`, `AF41`, `CS6`."""
    try:
        return DSCP_NAMES[text.lower()]
    except KeyError:
        raise ValueError("is not a code point") from None


def _meaning(parse: Callable[[str], object], allowed: str, pattern: str | None = None) -> Meta:
    """`pattern` for what is a name and no more: msgspec holds it, whoever uses the field."""
    return Meta(pattern=pattern, extra={"parse": parse, "allowed": allowed})


Duration: TypeAlias = Annotated[
    str, _meaning(duration, "a duration such as 500ms, 10s or 1m30s, at most 365d")
]
Lasting: TypeAlias = Annotated[
    str, _meaning(positive, "a duration such as 500ms, 10s or 1m30s, more than 0, at most 365d")
]
Rate: TypeAlias = Annotated[str, _meaning(rate, "a rate such as 800kbit, 10mbit or 2.5gbit")]
AddressText: TypeAlias = Annotated[str, _meaning(address, "an address such as 10.0.0.5 or fd00::5")]
NetworkText: TypeAlias = Annotated[str, _meaning(network, "a range such as 10.0.0.0/8")]
LabelName: TypeAlias = Annotated[
    str, _meaning(label, "at most 63 of a-z, 0-9 and -, at its ends a-z or 0-9", LABEL)
]
Subdomain: TypeAlias = Annotated[
    str,
    _meaning(subdomain, "a-z, 0-9 and - joined by dots, at most 253 characters", SUBDOMAIN),
]
HostName: TypeAlias = Annotated[str, _meaning(host, "a host name such as db.example.com", HOST)]
PortName: TypeAlias = Annotated[
    str, _meaning(port_name, "at most 63 of a-z, 0-9 and -, with at least one letter", PORT_NAME)
]
ServiceReference: TypeAlias = Annotated[
    str,
    _meaning(service_reference, "the name of a service, NAME or NAMESPACE/NAME", REFERENCE),
]
DscpName: TypeAlias = Annotated[
    str, _meaning(dscp, "a code point, 0 to 63 or a name such as EF, AF41, CS1")
]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]
