# SPDX-License-Identifier: Apache-2.0
"""Queries and answers of one conversation matched by id, seen from either end."""

import dnslib
import numpy as np
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from undermesh.kernel import testrun
from undermesh.kernel.loaded import Loaded

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
ROLES = {"client": 1, "server": 2}
UNANSWERED = 0xFFFF


class Conversation:
    """One UDP conversation on port 53, our end `role`."""

    def __init__(self, parts: Loaded, *, role: str) -> None:
        self._parts = parts
        self._role = role
        entry = np.zeros(1, parts.maps["part_conversation"].spec.value)
        entry["role"], entry["client"], entry["server"] = ROLES[role], 256, 257
        parts.maps["part_conversation"].insert(0, entry)
        keys, _ = parts.maps["um_series"].dump()
        parts.maps["um_series"].delete(keys)

    def say(self, message: bytes, *, answer: bool, version: int = 4) -> None:
        """Sends or receives a message, whichever it is to our end."""
        network = IP() if version == 4 else IPv6()
        name = "sent" if answer == (self._role == "server") else "received"
        data = bytes(ETHER / network / UDP(sport=53, dport=53) / message)
        run = testrun.run_program(self._parts.programs[f"part_dns_{name}"], data=data)
        assert run.retval == 1

    def ask(self, number: int, *, version: int = 4) -> None:
        """A query with this id."""
        question = dnslib.DNSRecord.question("a.example")
        question.header.id = number
        self.say(question.pack(), answer=False, version=version)

    def reply(self, number: int, rcode: int = 0, *, version: int = 4) -> None:
        """An answer with this id."""
        answer = dnslib.DNSRecord.question("a.example").reply()
        answer.header.id, answer.header.rcode = number, rcode
        self.say(answer.pack(), answer=True, version=version)

    @property
    def counts(self) -> dict[int, int]:
        """rcode → queries."""
        keys, values = self._parts.maps["um_series"].dump()
        return {
            int(key["status"]): int(value["requests"])
            for key, value in zip(keys, values, strict=True)
        }


@pytest.fixture(params=["client", "server"])
def talk(parts: Loaded, request: pytest.FixtureRequest) -> Conversation:
    """A fresh conversation, from either end."""
    return Conversation(parts, role=request.param)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("rcode", [0, 2, 3, 5, 15])
def test_an_answer_meets_its_query(talk: Conversation, version: int, rcode: int) -> None:
    talk.ask(0xBEEF, version=version)
    talk.reply(0xBEEF, rcode, version=version)

    assert talk.counts == {rcode: 1}


def test_four_at_once_answered_in_any_order(talk: Conversation) -> None:
    for number in (0, 1, 0xFFFF, 256):
        talk.ask(number)
    for number in (256, 0, 0xFFFF, 1):
        talk.reply(number)

    assert talk.counts == {0: 4}


def test_the_fifth_gives_up_the_oldest(talk: Conversation) -> None:
    for number in range(1, 6):
        talk.ask(number)
    for number in range(1, 6):
        talk.reply(number)

    assert talk.counts == {0: 4, UNANSWERED: 1}


def test_a_query_sent_again_is_one_query(talk: Conversation) -> None:
    talk.ask(7)
    talk.ask(8)
    talk.reply(7)
    talk.ask(8)
    talk.reply(8)
    talk.reply(8)

    assert talk.counts == {0: 2}


def test_answers_nobody_asked_for(talk: Conversation) -> None:
    talk.ask(7)
    talk.reply(9)

    assert talk.counts == {}


def test_what_flows_the_wrong_way_is_not_counted(talk: Conversation) -> None:
    question = dnslib.DNSRecord.question("a.example")
    talk.say(question.pack(), answer=True)
    talk.say(question.reply().pack(), answer=False)

    assert talk.counts == {}
