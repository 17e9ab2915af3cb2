# SPDX-License-Identifier: Apache-2.0
"""Messages as bytes: the short way and the long one agree, and nothing hostile raises."""

from ipaddress import ip_address

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undermesh.model.names import NameEntry
from undermesh.model.service import ANY_NETNS, Endpoint, ServiceName
from undermesh.names import wire
from undermesh.names.answers import Answer, Chase, Kind, Rcode, Record
from undermesh.names.quick import Quick
from undermesh.names.zone import Zone

V4, V6 = ip_address("198.18.0.7"), ip_address("fd00::7")
MANY = tuple(
    Endpoint(address=ip_address(f"10.0.{n // 256}.{n % 256}"), ports={}) for n in range(900)
)
ZONE = Zone(
    (
        NameEntry(service=ServiceName("shop", "cart"), addresses=(V4, V6)),
        NameEntry(service=ServiceName("default", "web"), addresses=(V4,)),
        NameEntry(service=ServiceName("shop", "many"), endpoints=MANY),
        NameEntry(service=ServiceName("shop", "wide"), addresses=tuple(e.address for e in MANY)),
        NameEntry(service=ServiceName("shop", "odd"), external="x" * 70 + ".." + "y"),
    )
)
QUICK = Quick(ZONE)


def query(name, kind="A", *, edns=None, options=()):
    record = dnslib.DNSRecord.question(name, kind)
    record.header.id = 4711
    if edns is not None:
        record.add_ar(dnslib.EDNS0(udp_len=edns, opts=list(options)))
    return bytes(record.pack())


def long_way(data, *, home="default", limit=None, turn=0):
    asked = wire.parse(data)
    found = ZONE.ask(wire.asked(asked, home=home, netns=ANY_NETNS))
    assert isinstance(found, Answer)
    return wire.render(asked, found, limit=limit or asked.size, turn=turn)


def parsed(data):
    return dnslib.DNSRecord.parse(data)


@pytest.mark.parametrize("edns", [None, 512, 4096])
@pytest.mark.parametrize(
    ("name", "kind"),
    [("cart.shop", "A"), ("CaRt.shop.svc.MESH", "AAAA"), ("cart.shop.svc", "A"), ("web", "A"),
     ("cart.shop.svc.cluster.local", "A")],
)  # fmt: skip
def test_both_ways_say_the_same(name, kind, edns):
    data = query(name, kind, edns=edns)
    short = QUICK.answer(data, b"\x07default")

    assert short is not None
    assert parsed(short) == parsed(long_way(data))
    assert short[12 : 12 + len(name) + 2] == data[12 : 12 + len(name) + 2], "case as it was asked"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("web.shop", "A"), ("web", "AAAA"), ("cart", "A"), ("cart.shop", "TXT"), ("many.shop", "A"),
     ("www.example.com", "A"), ("wide.shop", "A"), ("svc.mesh", "A"), ("odd.shop", "A")],
)  # fmt: skip
def test_what_takes_the_long_way(name, kind):
    assert QUICK.answer(query(name, kind), b"\x07default") is None


def test_a_name_of_ones_own_namespace_the_short_way():
    assert parsed(QUICK.answer(query("cart"), b"\x04shop")).rr[0].rdata.data == tuple(V4.packed)


def test_a_short_time_to_live():
    assert {r.ttl for r in parsed(long_way(query("cart.shop"))).rr} == {5}
    nothing = parsed(long_way(query("nobody.shop.svc.mesh")))
    assert (nothing.header.rcode, nothing.auth[0].rdata.times[-1]) == (Rcode.NXDOMAIN, 5)


@pytest.mark.parametrize(("edns", "limit"), [(None, 512), (100, 512), (1232, 1232), (65000, 4096)])
def test_what_does_not_fit_is_cut_and_says_so(edns, limit):
    answer = long_way(query("many.shop", edns=edns))

    assert len(answer) <= limit
    assert parsed(answer).header.tc
    assert len(parsed(answer).rr) > (limit - 100) // 16 - 2, "as much as fits"


def test_by_tcp_all_of_it_fits():
    answer = parsed(long_way(query("many.shop"), limit=wire.STREAM_LIMIT))
    assert (len(answer.rr), answer.header.tc) == (900, 0)


def test_addresses_take_turns():
    first = {
        str(parsed(long_way(query("many.shop"), limit=65535, turn=turn)).rr[0].rdata)
        for turn in range(20)
    }
    assert len(first) == 20


def test_edns():
    data = query("cart.shop", "TXT", edns=1232, options=[dnslib.EDNSOption(10, b"12345678")])
    assert parsed(long_way(data)).ar[0].rtype == 41
    assert not parsed(long_way(query("cart.shop", "TXT"))).ar
    newer = bytearray(query("cart.shop", edns=1232))
    newer[-5] = 1  # version 1
    assert QUICK.answer(bytes(newer), b"\x07default") is None
    answer = parsed(long_way(bytes(newer)))
    assert (answer.ar[0].ttl >> 24, len(answer.rr)) == (1, 0), "BADVERS"


def test_a_broken_tail_is_a_format_error():
    data = query("cart.shop", edns=1232)[:-3]
    assert QUICK.answer(data, b"\x07default") is None
    assert parsed(long_way(data)).header.rcode == Rcode.FORMERR


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 11,
        query("cart.shop")[:20],
        b"\0\1\x81\0" + query("cart.shop")[4:],  # a response
        b"\0\1\x28\0" + query("cart.shop")[4:],  # opcode UPDATE
        query("cart.shop")[:-1] + b"\3",  # class CHAOS
        b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1",  # a name that points at itself
        b"\0\1\1\0\0\2\0\0\0\0\0\0" + query("cart.shop")[12:] * 2,
        b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\x3f" + b"a" * 20,
        b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\x05a.b.c\0\0\1\0\1",
        b"\0\1\1\0\0\1\0\0\0\0\0\0" + (b"\x3f" + b"a" * 63) * 5 + b"\0\0\1\0\1",
    ],
)
def test_what_is_no_plain_query_is_passed_on(data):
    assert wire.parse(data) is None
    assert QUICK.answer(data, b"\x07default") is None


def take(data):
    """All that a datagram goes through."""
    QUICK.answer(data, b"\x07default")
    asked = wire.parse(data)
    if asked is not None:
        found = ZONE.ask(wire.asked(asked, home="default", netns=ANY_NETNS))
        if isinstance(found, Answer):
            wire.render(asked, found, limit=512)


@given(st.binary(max_size=200))
def test_no_bytes_raise(data):
    take(data)


@given(st.binary(max_size=60), st.integers(0, 40), st.sampled_from(["A", "SRV", "AAAA", "ANY"]))
def test_no_query_gone_wrong_raises(noise, at, kind):
    whole = query("_http._tcp.many.shop.svc.mesh", kind, edns=1232)
    take(whole[:at] + noise + whole[at + len(noise) :])


@given(st.binary(max_size=100))
def test_a_resolver_may_say_anything_about_an_alias(reply):
    asked = wire.parse(query("away.shop"))
    alias = Record("away.shop", Kind.CNAME, "www.example.com")
    answer = wire.with_aliases(asked, (alias,), reply, limit=512)
    assert parsed(answer).header.rcode == Rcode.SERVFAIL


def test_an_alias_and_its_end_are_one_answer():
    asked = wire.parse(query("Away.shop"))
    question = wire.question_for(asked, "www.example.com")
    reply = parsed(question).reply()
    reply.add_answer(*dnslib.RR.fromZone("www.example.com 60 A 192.0.2.1"))
    alias = Record("away.shop", Kind.CNAME, "www.example.com")
    answer = parsed(wire.with_aliases(asked, (alias,), bytes(reply.pack()), limit=512))

    assert [str(r.rdata) for r in answer.rr] == ["www.example.com.", "192.0.2.1"]
    assert (str(answer.q.qname), answer.header.id) == ("Away.shop.", 4711)


def test_a_name_no_message_can_hold():
    """Manifests are checked before; should one come through, that one name fails."""
    asked = wire.parse(query("odd.shop", "CNAME"))
    found = ZONE.ask(wire.asked(asked, home="default", netns=ANY_NETNS))
    assert not isinstance(found, Chase)
    assert parsed(wire.render(asked, found, limit=512)).header.rcode == Rcode.SERVFAIL
