# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from dnslib import AAAA, CNAME, MX, QTYPE, RR, A, DNSHeader, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from undermesh.telemetry.answers import ANYBODY, AnswerTable, Malformed, parse
from undermesh.testing import arrays


def message(name="api.example.com", *records, qr=1):
    record = DNSRecord(DNSHeader(qr=qr, aa=1, ra=1), q=DNSQuestion(name))
    for one in records:
        record.add_answer(one)
    return record.pack()


def a(name, address):
    return RR(name, QTYPE.A, rdata=A(address))


def packed(address):
    return bytes(arrays.address(address))


def test_addresses_go_by_the_name_that_was_asked_for_whatever_the_aliases():
    answer = parse(
        message(
            "API.example.com.",
            RR("api.example.com", QTYPE.CNAME, rdata=CNAME("edge.cdn.example.net")),
            a("edge.cdn.example.net", "192.0.2.7"),
            RR("edge.cdn.example.net", QTYPE.AAAA, rdata=AAAA("2001:db8::7")),
        )
    )
    assert answer.name == "api.example.com"
    assert answer.addresses == (packed("192.0.2.7"), packed("2001:db8::7"))


def test_answers_without_addresses_have_none():
    assert (
        parse(message("example.com", RR("example.com", QTYPE.MX, rdata=MX("mx")))).addresses == ()
    )


def test_what_stands_before_the_cut_is_used():
    whole = message("a.example", *[a("a.example", f"192.0.2.{n}") for n in range(40)])
    answer = parse(whole[:512])
    assert answer.name == "a.example"
    assert 20 < len(answer.addresses) < 40


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\0" * 12,
        message(qr=0),
        message()[:20],
        b"\x00\x01\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01",
    ],
)
def test_what_is_no_answer_is_malformed(hostile):
    with pytest.raises(Malformed):
        parse(hostile)


def test_a_name_cannot_paint_the_terminal():
    assert parse(message("e\x1b[31mvil.example")).name.isprintable()


@given(st.binary(max_size=512))
def test_no_bytes_raise_anything_else(noise):
    try:
        parse(noise)
    except Malformed:
        pass


@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_no_broken_answer_raises_anything_else(position, noise):
    whole = message(
        "a.example",
        RR("a.example", QTYPE.CNAME, rdata=CNAME("b.example")),
        a("b.example", "192.0.2.1"),
    )
    position %= len(whole)
    try:
        parse(whole[:position] + noise + whole[position + len(noise) :])
    except Malformed:
        pass


def records(*answers):
    rows = []
    for client, raw in answers:
        body = np.zeros(512, np.uint8)
        body[: len(raw)] = np.frombuffer(raw, np.uint8)
        rows.append({"client": client, "len": len(raw), "message": body})
    return arrays.structs("um_answer", rows)


def test_each_asker_has_its_own_name_for_an_address():
    table = AnswerTable(limit=100)
    named = table.take(
        records(
            (300, message("a.example", a("a.example", "192.0.2.1"))),
            (301, message("b.example", a("b.example", "192.0.2.1"))),
            (302, b"junk"),
        )
    )
    address = packed("192.0.2.1")
    assert named == [(300, address), (301, address)]
    assert table.name(300, address) == "a.example"
    assert table.name(301, address) == "b.example"
    assert table.name(ANYBODY, address) == "b.example"
    assert table.name(302, address) is None
    assert (table.taken, table.malformed) == (2, 1)


def test_the_table_is_bounded_and_forgets_what_was_not_used():
    table = AnswerTable(limit=10)
    table.take(records((300, message("first.example", a("first.example", "192.0.2.1")))))
    for number in range(2, 20):
        table.take(records((300, message("x.example", a("x.example", f"192.0.2.{number}")))))
        assert table.name(300, packed("192.0.2.1")) == "first.example"
    assert len(table) == 10
