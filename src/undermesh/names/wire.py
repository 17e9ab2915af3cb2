# SPDX-License-Identifier: Apache-2.0
"""DNS messages: bytes → question, answer → bytes (RFC 1035, 6891). Pure; no input raises.

Address queries for services take a path of their own (quick.py); everything else is built by
dnslib. What is not a plain query is None here: it is passed on as it is.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dnslib

from undermesh.names.answers import Answer, Asked, Kind, Rcode, Record, Target

TTL = 5
"""Seconds, of every answer: short, for a service may move at any time."""

PLAIN_LIMIT = 512
EDNS_LIMIT = 4096
_OURS = 1232
"""Bytes we take by UDP, as we tell those who ask; DNS flag day 2020."""

STREAM_LIMIT = 65535
OPT = b"\0\0\x29" + _OURS.to_bytes(2, "big") + bytes(6)
_OPT_BAD = (
    b"\0\0\x29" + _OURS.to_bytes(2, "big") + b"\x01\0\0\0" + bytes(2)
)  # BADVERS, RFC 6891 6.1.3
_IN = 1
_HEADER = struct.Struct("!HHHHHH")
_FIXED = struct.Struct("!HHIH")
_TYPE_OPT = 41


@dataclass(frozen=True, slots=True)
class Query:
    """A plain query with one question. `size` is what the asker takes by UDP; `edns` its EDNS
    version, -1 without; `malformed` says that what follows the question made no sense."""

    number: int
    recursion: bool
    question: bytes
    name: str
    kind: int
    size: int
    edns: int
    malformed: bool


def parse(data: bytes) -> Query | None:
    """The query in a datagram; None for anything that is not one, or not for the Internet class."""
    if len(data) < 17:
        return None
    number, flags, questions, answers, authorities, more = _HEADER.unpack_from(data)
    # QR, opcode and AA, TC of a plain query are 0; it has one question and no answer.
    if flags & 0xFE00 or questions != 1 or answers or authorities:
        return None
    labels, end = labels_of(data)
    if not end or end + 4 > len(data):
        return None
    kind, klass = struct.unpack_from("!HH", data, end)
    if klass != _IN:
        return None
    edns, size, sound = _edns(data, end + 4, more)
    return Query(
        number=number,
        recursion=bool(flags & 0x0100),
        question=bytes(data[12 : end + 4]),
        name=".".join(labels),
        kind=kind,
        size=size,
        edns=edns,
        malformed=not sound,
    )


def labels_of(data: bytes) -> tuple[list[str], int]:
    """The question's labels in lower case and where they end; 0 where they are none of ours."""
    labels: list[str] = []
    at = 12
    while at < len(data):
        length = data[at]
        if length == 0:
            return labels, at + 1
        label = data[at + 1 : at + 1 + length]
        # A pointer, a label that ends nowhere, a name too long, or bytes no host name has.
        if length > 63 or len(label) < length or at > 255 or not label.isascii() or b"." in label:
            return [], 0
        labels.append(label.lower().decode("ascii"))
        at += 1 + length
    return [], 0


def _edns(data: bytes, at: int, count: int) -> tuple[int, int, bool]:
    """(version or -1, UDP size, whether it made sense) from the additional section."""
    version, size = -1, PLAIN_LIMIT
    for _ in range(count):
        at = _skip_name(data, at)
        if not at or at + 10 > len(data):
            return version, size, False
        kind, klass, ttl, length = _FIXED.unpack_from(data, at)
        at += 10 + length
        if at > len(data):
            return version, size, False
        if kind == _TYPE_OPT:
            if version >= 0:
                return version, size, False
            version, size = (ttl >> 16) & 0xFF, max(PLAIN_LIMIT, min(klass, EDNS_LIMIT))
    return version, size, True


def _skip_name(data: bytes, at: int) -> int:
    """Where a name ends; 0 when it does not."""
    for _ in range(128):
        if at >= len(data):
            return 0
        length = data[at]
        if length == 0:
            return at + 1
        if length >= 0xC0:
            return at + 2
        if length > 63:
            return 0
        at += 1 + length
    return 0


def asked(query: Query, *, home: str, netns: Any) -> Asked:
    """The question as the zone takes it."""
    return Asked(query.name, query.kind, home, netns)


def render(query: Query, answer: Answer, *, limit: int, turn: int = 0) -> bytes:
    """The message to send. Addresses are rotated by `turn`; what does not fit is left out and the
    asker told (TC), who then comes by TCP."""
    if query.edns > 0:
        return plain(query, Rcode.NOERROR, opt=_OPT_BAD)
    if query.malformed:
        return plain(query, Rcode.FORMERR)
    try:
        return _fitting(query, answer, limit, turn)
    except Exception:  # a name no message can hold; dnslib's exceptions have no common ancestor
        return plain(query, Rcode.SERVFAIL)


def _fitting(query: Query, answer: Answer, limit: int, turn: int) -> bytes:
    answers = list(answer.answers)
    if len(answers) > 1 and answers[0].kind in (Kind.A, Kind.AAAA):
        turn %= len(answers)
        answers = answers[turn:] + answers[:turn]
    whole = _pack(query, answer, answers, answer.additional, cut=False)
    if len(whole) > limit and answer.additional:
        whole = _pack(query, answer, answers, (), cut=False)
    while len(whole) > limit and answers:
        answers = answers[: min(len(answers) - 1, len(answers) * limit // len(whole))]
        whole = _pack(query, answer, answers, (), cut=True)
    return whole


def plain(query: Query, rcode: Rcode, *, opt: bytes = OPT) -> bytes:
    """A message with nothing in it but its code."""
    flags = 0x8080 | (0x0100 if query.recursion else 0) | rcode
    tail = opt if query.edns >= 0 else b""
    head = _HEADER.pack(query.number, flags, 1, 0, 0, 1 if tail else 0)
    return head + query.question + tail


def _pack(
    query: Query,
    answer: Answer,
    answers: Sequence[Record],
    additional: Sequence[Record],
    *,
    cut: bool,
) -> bytes:
    header = dnslib.DNSHeader(
        id=query.number, qr=1, aa=1, rd=int(query.recursion), ra=1, tc=int(cut), rcode=answer.rcode
    )
    message = dnslib.DNSRecord(header)
    asked_for = _asked_label(query)
    message.add_question(dnslib.DNSQuestion(asked_for, query.kind))
    for record in answers:
        made = _record(record)
        if record.name == query.name:
            made.rname = asked_for
        message.add_answer(made)
    if not answer.answers and answer.rcode in (Rcode.NOERROR, Rcode.NXDOMAIN):
        soa = _soa(answer.zone)
        if query.kind == Kind.SOA and query.name == answer.zone:
            message.add_answer(soa)
        else:
            message.add_auth(soa)
    for record in additional:
        message.add_ar(_record(record))
    if query.edns >= 0:
        message.add_ar(dnslib.EDNS0(udp_len=_OURS))
    return bytes(message.pack())


def _asked_label(query: Query) -> Any:
    """The name as it was written: some resolvers check the case of every letter."""
    labels, at = [], 0
    while length := query.question[at]:
        labels.append(query.question[at + 1 : at + 1 + length])
        at += 1 + length
    return dnslib.DNSLabel(labels)


def _record(record: Record) -> Any:
    data: Any
    match record.data:
        case Target(weight, port, host):
            data = dnslib.SRV(0, weight, port, _label(host))
        case str(name):
            data = (dnslib.PTR if record.kind == Kind.PTR else dnslib.CNAME)(_label(name))
        case address:
            data = dnslib.A(str(address)) if address.version == 4 else dnslib.AAAA(str(address))
    return dnslib.RR(_label(record.name), int(record.kind), rdata=data, ttl=TTL)


def _label(name: str) -> Any:
    """As bytes: dnslib would take a string through IDNA, which refuses what DNS allows."""
    return dnslib.DNSLabel(name.encode("ascii", "replace"))


def _soa(zone: str) -> Any:
    """Says how long "no" may be remembered: as long as anything else (RFC 2308 5)."""
    data = dnslib.SOA("ns.svc.mesh", "hostmaster.svc.mesh", (1, 3600, 600, 86400, TTL))
    return dnslib.RR(zone, int(Kind.SOA), rdata=data, ttl=TTL)


def question_for(query: Query, target: str) -> bytes:
    """The same question for another name: the end of an alias."""
    record = dnslib.DNSRecord(
        dnslib.DNSHeader(id=query.number, rd=1), q=dnslib.DNSQuestion(target, query.kind)
    )
    record.add_ar(dnslib.EDNS0(udp_len=_OURS))
    return bytes(record.pack())


def with_aliases(query: Query, aliases: Sequence[Record], reply: bytes, *, limit: int) -> bytes:
    """What a resolver said of an alias's target, as the answer for the alias."""
    try:
        said = dnslib.DNSRecord.parse(reply)
        if said.header.id != query.number or not said.header.qr:
            return plain(query, Rcode.SERVFAIL)
        header = dnslib.DNSHeader(
            id=query.number, qr=1, rd=int(query.recursion), ra=1, rcode=said.header.rcode
        )
        message = dnslib.DNSRecord(header)
        message.add_question(dnslib.DNSQuestion(_asked_label(query), query.kind))
        message.add_answer(*(_record(alias) for alias in aliases), *said.rr)
        message.add_auth(*said.auth)
        if query.edns >= 0:
            message.add_ar(dnslib.EDNS0(udp_len=_OURS))
        if said.header.tc or len(message.pack()) > limit:
            message.header.tc, message.rr, message.auth = 1, message.rr[: len(aliases)], []
        return bytes(message.pack())
    except Exception:  # a resolver may say anything, and dnslib answers to that with any exception
        return plain(query, Rcode.SERVFAIL)
