# SPDX-License-Identifier: Apache-2.0
"""What is answered for which name, and what is left to others."""

from ipaddress import ip_address

import pytest

from undermesh.model.names import NameEntry
from undermesh.model.protocol import Transport
from undermesh.model.service import Endpoint, Netns, ServiceName, ServicePort
from undermesh.names.answers import NOT_OURS, Answer, Asked, Chase, Kind, Rcode, Target
from undermesh.names.zone import Zone

V4, V6 = ip_address("198.18.0.7"), ip_address("fd00::7")
HTTP = ServicePort(name="http", port=80, target=8080)
DNS = ServicePort(name="dns", port=53, target="dns", transport=Transport.UDP)


def entry(name, namespace="shop", **fields):
    return NameEntry(service=ServiceName(namespace, name), **fields)


def endpoint(address, port=8080, **fields):
    return Endpoint(address=ip_address(address), ports={"http": port}, **fields)


ZONE = Zone(
    (
        entry("cart", addresses=(V4, V6), ports=(HTTP, DNS)),
        entry("four", addresses=(V4,)),
        entry("db", ports=(HTTP,), endpoints=(
            endpoint("10.0.0.7"), endpoint("fd01::7", 8081, weight=3),
            endpoint("127.0.0.1", netns=Netns(5)),
        )),
        entry("empty", ports=(HTTP,)),
        entry("web", namespace="default", addresses=(V4,)),
        entry("away", external="www.example.com."),
        entry("near", external="cart.shop.svc.mesh"),
        entry("nearer", external="near.shop.svc.cluster.local"),
        entry("lost", external="nobody.shop.svc.mesh"),
        entry("ring", external="ring2.shop.svc.mesh"),
        entry("ring2", external="ring.shop.svc.mesh"),
        entry("literal", external="192.0.2.9"),
    )
)  # fmt: skip
FORMS = ("cart.shop", "cart.shop.svc", "cart.shop.svc.mesh", "cart.shop.svc.cluster.local")


def ask(name, kind=Kind.A, **fields):
    return ZONE.ask(Asked(name, kind, **fields))


def said(answer):
    assert isinstance(answer, Answer)
    return answer.rcode, [record.data for record in answer.answers]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_name(name):
    assert said(ask(name)) == (Rcode.NOERROR, [V4])
    assert said(ask(name, Kind.AAAA)) == (Rcode.NOERROR, [V6])
    assert said(ask(name, Kind.ANY)) == (Rcode.NOERROR, [V4, V6])
    assert {record.name for record in ask(name).answers} == {name}


def test_one_label_means_a_service_of_ones_own_namespace():
    assert said(ask("web")) == (Rcode.NOERROR, [V4])
    assert ask("cart") == NOT_OURS
    assert said(ask("cart", home="shop")) == (Rcode.NOERROR, [V4])
    assert ask("web", home="shop") == NOT_OURS


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("nobody.shop.svc.mesh", "svc.mesh"),
        ("cart.nowhere.svc.mesh", "svc.mesh"),
        ("nowhere.svc.mesh", "svc.mesh"),
        ("a.b.c.d.svc.mesh", "svc.mesh"),
        ("x.cart.shop.svc.mesh", "svc.mesh"),
        ("nobody.shop.svc", "svc"),
        ("_nope._tcp.cart.shop.svc.mesh", "svc.mesh"),
        ("_http._udp.cart.shop.svc.mesh", "svc.mesh"),
        ("_http._tcp.four.shop", "four.shop"),
        ("_http.away.shop.svc.mesh", "svc.mesh"),
    ],
)
@pytest.mark.parametrize("kind", [Kind.A, Kind.AAAA, Kind.SRV, 16])
def test_what_does_not_exist(name, zone, kind):
    assert ask(name, kind) == Answer(Rcode.NXDOMAIN, zone=zone)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cart.shop.svc.mesh", 16),
        ("four.shop", Kind.AAAA),
        ("empty.shop", Kind.A),
        ("shop.svc.mesh", Kind.A),
        ("svc.mesh", Kind.SOA),
        ("_tcp.cart.shop.svc.mesh", Kind.SRV),
        ("_http._tcp.cart.shop.svc.mesh", Kind.A),
        ("7.0.18.198.in-addr.arpa", Kind.A),
    ],
)
def test_what_exists_but_not_of_this_kind(name, kind):
    assert said(ask(name, kind)) == (Rcode.NOERROR, [])


@pytest.mark.parametrize(
    "name",
    ["", "com", "www.example.com", "google.shop", "nobody.shop", "cart.nowhere.svc",
     "kubernetes.default.svc.cluster.local", "nobody.shop.svc.cluster.local", "svc.cluster.local",
     "mesh", "x.mesh", "svc", "a.cart.shop", "_http._tcp.example.com", "8.8.8.8.in-addr.arpa",
     "cart.shop.svc.mesh.corp.example", "xsvc.mesh"],
)  # fmt: skip
def test_what_is_others(name):
    assert ask(name) == NOT_OURS


def test_where_a_port_is():
    found = ask("_http._tcp.cart.shop.svc.cluster.local", Kind.SRV)
    host = "cart.shop.svc.cluster.local"
    assert said(found) == (Rcode.NOERROR, [Target(100, 80, host)])
    assert [(r.name, r.data) for r in found.additional] == [(host, V4), (host, V6)]
    assert said(ask("_dns._udp.cart.shop", Kind.SRV))[1] == [Target(100, 53, "cart.shop.svc.mesh")]
    assert len(said(ask("cart.shop", Kind.SRV))[1]) == 2


def test_headless_services_are_answered_with_their_endpoints():
    assert said(ask("db.shop"))[1] == [ip_address("10.0.0.7")]
    found = ask("_http._tcp.db.shop.svc.mesh", Kind.SRV)
    six = "fd01-0000-0000-0000-0000-0000-0000-0007.db.shop.svc.mesh"
    assert said(found)[1] == [
        Target(1, 8080, "10-0-0-7.db.shop.svc.mesh"),
        Target(3, 8081, six),
    ]
    assert said(ask("10-0-0-7.db.shop.svc.mesh"))[1] == [ip_address("10.0.0.7")]
    assert said(ask(six, Kind.AAAA))[1] == [ip_address("fd01::7")]
    assert said(ask("10-0-0-8.db.shop.svc.mesh"))[0] == Rcode.NXDOMAIN


def test_loopback_endpoints_are_told_their_own_namespace_only():
    here = said(ask("db.shop", netns=Netns(5)))[1]
    assert here == [ip_address("10.0.0.7"), ip_address("127.0.0.1")]


def test_addresses_lead_back_to_names():
    for address in (V6, ip_address("198.18.0.7")):
        assert said(ask(address.reverse_pointer, Kind.PTR))[1][0].endswith(".svc.mesh")


@pytest.mark.parametrize(
    "name",
    ["in-addr.arpa", "x.in-addr.arpa", "0.18.198.in-addr.arpa", "7.0.18.1980.in-addr.arpa",
     "-7.0.18.198.in-addr.arpa", "1.7.0.18.198.in-addr.arpa", "ip6.arpa",
     "g" + ".0" * 31 + ".ip6.arpa", "00" + ".0" * 31 + ".ip6.arpa", "0." * 31 + "ip6.arpa"],
)  # fmt: skip
def test_what_is_no_address_turned_round(name):
    assert ask(name, Kind.PTR) == NOT_OURS


def test_aliases():
    assert ask("away.shop") == Chase(ask("away.shop", Kind.CNAME).answers, "www.example.com")
    assert said(ask("away.shop", Kind.CNAME))[1] == ["www.example.com"]
    assert said(ask("near.shop"))[1] == ["cart.shop.svc.mesh", V4]
    assert said(ask("nearer.shop", Kind.AAAA))[1] == [
        "near.shop.svc.cluster.local", "cart.shop.svc.mesh", V6,
    ]  # fmt: skip
    assert said(ask("lost.shop")) == (Rcode.NXDOMAIN, ["nobody.shop.svc.mesh"])
    assert said(ask("literal.shop"))[1] == [ip_address("192.0.2.9")]
    assert said(ask("ring.shop")) == (Rcode.SERVFAIL, [])


def test_the_whole_zone_is_not_given_away():
    assert said(ask("cart.shop.svc.mesh", Kind.AXFR)) == (Rcode.REFUSED, [])
