# SPDX-License-Identifier: Apache-2.0
from undermesh.model.edge import WORLD, End, EndKind
from undermesh.model.protocol import Protocol, rcode_name
from undermesh.model.status import MapStatus


def test_an_end_is_known_by_its_namespace_where_it_has_one():
    assert End(EndKind.WORKLOAD, "shop", "web").id == "shop/web"
    assert WORLD.id == "world"


def test_only_http_and_dns_count_requests():
    assert [protocol for protocol in Protocol if protocol.counts_requests] == [
        Protocol.HTTP,
        Protocol.DNS,
    ]


def test_rcodes_without_a_name_are_numbers():
    assert (rcode_name(2), rcode_name(4000)) == ("SERVFAIL", "RCODE4000")


def test_fill_is_unknown_where_entries_cannot_be_counted():
    def fill(entries):
        return MapStatus(name="m", type="hash", entries=entries, max_entries=8, bytes=0).fill

    assert (fill(2), fill(None)) == (0.25, None)
