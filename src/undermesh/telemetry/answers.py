# SPDX-License-Identifier: Apache-2.0
"""DNS answers: the names applications asked for, by the addresses they were given.

The messages are hostile: they come from whoever answers on port 53. They may also be cut at 512
bytes; what stands whole before the cut is used.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from dnslib import QTYPE, RR, DNSBuffer, DNSHeader, DNSQuestion

from undermesh.telemetry.growth import Structured

MAPPED = bytes(10) + b"\xff\xff"
"""What an IPv4 address is prefixed with where every address has 16 bytes (RFC 4291 2.5.5.2)."""

NAME_LIMIT = 253
RECORD_LIMIT = 64
ANYBODY = 0
"""In place of an asker's number: the last name anybody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The name in the question, and every address at the end of its CNAME chain."""

    name: str
    addresses: tuple[bytes, ...]


class Malformed(ValueError):
    """A message that is no DNS answer."""


def parse(message: bytes) -> Answer:
    """Reads a DNS response. Raises Malformed, and nothing else, for what is none.

    The chain is not followed: whatever alias an address was reached through, the application asked
    for the question's name. Answers without addresses (NXDOMAIN, MX …) have none.
    """
    try:
        buffer = DNSBuffer(message)
        header = DNSHeader.parse(buffer)
        if not header.qr or header.q != 1:
            raise Malformed("not a response to one question")
        question = DNSQuestion.parse(buffer)
        name = _readable(str(question.qname))
        return Answer(name=name, addresses=tuple(_addresses(buffer, min(header.a, RECORD_LIMIT))))
    except Malformed:
        raise
    except Exception as error:
        # dnslib raises its own errors, and what the bytes happen to break: struct.error,
        # IndexError, UnicodeError, RecursionError. All of them mean the same here.
        raise Malformed(str(error)) from error


def _addresses(buffer: "DNSBuffer", records: int) -> Iterator[bytes]:
    """A and AAAA records up to the first that is cut or broken."""
    for _ in range(records):
        try:
            record = RR.parse(buffer)
            if record.rtype == QTYPE.A:
                yield MAPPED + bytes(record.rdata.data)
            elif record.rtype == QTYPE.AAAA:
                yield bytes(record.rdata.data)
        except Exception:
            return


def _readable(name: str) -> str:
    """Lower case, no final dot; anything that would not print in a table is refused."""
    plain = name.rstrip(".").lower()
    if not plain or len(plain) > NAME_LIMIT or not plain.isascii() or not plain.isprintable():
        raise Malformed("a name that cannot be shown")
    return plain


class AnswerTable:
    """(asker, address) → name, the least recently used forgotten first."""

    def __init__(self, *, limit: int) -> None:
        self.malformed = 0
        self.taken = 0
        self._limit = limit
        self._names: OrderedDict[tuple[int, bytes], str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._names)

    def take(self, records: Structured) -> list[tuple[int, bytes]]:
        """Reads a batch of um_answer records; answers which (asker, address) pairs it named."""
        named: list[tuple[int, bytes]] = []
        for client, length, message in zip(
            records["client"].tolist(), records["len"].tolist(), records["message"], strict=True
        ):
            try:
                answer = parse(bytes(message)[:length])
            except Malformed:
                self.malformed += 1
                continue
            self.taken += 1
            for address in answer.addresses:
                self._learn((client, address), answer.name)
                self._learn((ANYBODY, address), answer.name)
                named.append((client, address))
        return named

    def name(self, asker: int, address: bytes) -> str | None:
        """What `asker` called this address when it last asked."""
        found = self._names.get((asker, address))
        if found is not None:
            self._names.move_to_end((asker, address))
        return found

    def _learn(self, key: tuple[int, bytes], name: str) -> None:
        self._names[key] = name
        self._names.move_to_end(key)
        while len(self._names) > self._limit:
            self._names.popitem(last=False)
