# SPDX-License-Identifier: Apache-2.0
import pytest

from undermesh.model.edge import HOST, WORLD, End, EndKind
from undermesh.model.protocol import Protocol
from undermesh.telemetry.growth import EDGES
from undermesh.telemetry.naming import Naming
from undermesh.telemetry.table import join_edges
from undermesh.testing import arrays

WEB = End(EndKind.WORKLOAD, "default", "web")
DB = End(EndKind.WORKLOAD, "default", "db")
API = End(EndKind.EXTERNAL, "", "api.example.com")

KNOWN = {1: WORLD, 2: HOST, 300: WEB, 301: DB, 302: WEB}


class Ends:
    """Two numbers of one name, and one external."""

    def end(self, number):
        return KNOWN[number]

    def server(self, client, number):
        return API if number == 400 else self.end(number)


@pytest.fixture
def words():
    return arrays.vocabulary()


@pytest.fixture
def naming(words):
    return Naming(vocabulary=words, ends=Ends())


@pytest.fixture
def table(words, naming):
    """Rows of um_edges by (client, server, port, protocol)."""

    def build(*rows, kept=None):
        growth = arrays.edges(*rows)
        context = naming.context(growth, kept or {})
        joined = join_edges([naming.edges(growth, context).named()])
        return {
            (key.client.name, key.server.name, key.port, key.protocol): {
                "opened": sums[EDGES.at("opened")],
                "failed": sum(sums[EDGES.at("failures") : EDGES.at("failures") + 8]),
                "tx": sums[EDGES.at("tx_bytes")],
                "retransmits": sums[EDGES.at("retransmits")],
            }
            for key, sums in joined.items()
        }

    return build


def edge(words, client, server, l7, role="client", **counters):
    return dict(
        client=client,
        server=server,
        port=80,
        role=getattr(words, role),
        l7=words.number_of(l7) if l7 else words.undecided,
        **counters,
    )


def test_shards_and_numbers_of_one_name_are_one_row(words, table):
    one = edge(words, 300, 301, Protocol.HTTP, opened=1, tx_bytes=10)
    other = {**edge(words, 302, 301, Protocol.HTTP, opened=2, tx_bytes=10), "shard": 1}
    assert table(one, other)["web", "db", 80, Protocol.HTTP]["opened"] == 3


def test_the_shadow_end_brings_only_retransmits_and_resets(words, table):
    rows = table(
        edge(words, 300, 301, Protocol.HTTP, opened=1, tx_bytes=10),
        edge(words, 300, 301, Protocol.HTTP, role="shadow", opened=1, tx_bytes=10, retransmits=4),
    )
    assert rows == {
        ("web", "db", 80, Protocol.HTTP): {"opened": 1, "failed": 0, "tx": 10, "retransmits": 4}
    }


def test_a_failed_attempt_joins_the_row_whose_protocol_is_known(words, table):
    rows = table(
        edge(words, 300, 301, Protocol.HTTP, opened=1, tx_bytes=10),
        edge(words, 300, 301, None, failures=[0, 3, 0, 0, 0, 0, 0, 0]),
    )
    assert rows["web", "db", 80, Protocol.HTTP]["failed"] == 3
    assert len(rows) == 1


def test_of_several_protocols_it_joins_the_busiest(words, table):
    rows = table(
        edge(words, 300, 301, Protocol.HTTP, opened=1, tx_bytes=10),
        edge(words, 300, 301, Protocol.TLS, opened=9, tx_bytes=10),
        edge(words, 300, 301, None, failures=[0, 1, 0, 0, 0, 0, 0, 0]),
    )
    assert rows["web", "db", 80, Protocol.TLS]["failed"] == 1


def test_where_nothing_is_known_it_is_tcp(words, table):
    rows = table(edge(words, 300, 2, None, failures=[0, 1, 0, 0, 0, 0, 0, 0]))
    assert rows["web", "host", 80, Protocol.TCP]["failed"] == 1


def test_who_was_meant_is_never_guessed(words, table):
    rows = table(
        edge(words, 300, 301, Protocol.HTTP, opened=1, tx_bytes=10),
        edge(words, 300, 2, None, failures=[0, 1, 0, 0, 0, 0, 0, 0]),
    )
    assert rows["web", "host", 80, Protocol.TCP]["failed"] == 1
    assert rows["web", "db", 80, Protocol.HTTP]["failed"] == 0


def test_what_the_gone_spoke_is_known_too(words, table):
    rows = table(
        edge(words, 300, 301, None, failures=[0, 1, 0, 0, 0, 0, 0, 0]),
        kept={(WEB, DB, 80): Protocol.HTTP},
    )
    assert list(rows) == [("web", "db", 80, Protocol.HTTP)]


def test_tcp_without_payload_joins_what_it_became(words, table):
    rows = table(
        edge(words, 300, 301, Protocol.HTTP, opened=4, tx_bytes=10),
        edge(words, 300, 301, Protocol.TCP, opened=1),
    )
    assert rows == {
        ("web", "db", 80, Protocol.HTTP): {"opened": 5, "failed": 0, "tx": 10, "retransmits": 0}
    }


def test_tcp_with_payload_stays_a_row(words, table):
    rows = table(
        edge(words, 300, 301, Protocol.HTTP, opened=4, tx_bytes=10),
        edge(words, 300, 301, Protocol.TCP, opened=1, tx_bytes=3),
    )
    assert len(rows) == 2


def test_a_conversation_measured_at_its_client_is_not_told_again(words, table):
    rows = table(
        edge(words, 300, 301, Protocol.DNS, opened=1, tx_bytes=10),
        edge(words, 2, 301, Protocol.DNS, role="server", opened=1, tx_bytes=10),
    )
    assert list(rows) == [("web", "db", 80, Protocol.DNS)]


def test_a_conversation_nobody_else_measures_is_told(words, table):
    rows = table(edge(words, 2, 301, Protocol.DNS, role="server", opened=1, tx_bytes=10))
    assert list(rows) == [("host", "db", 80, Protocol.DNS)]


def test_external_servers_go_by_the_name_their_client_knows(words, table):
    rows = table(edge(words, 300, 400, Protocol.TLS, opened=1, tx_bytes=1))
    assert list(rows) == [("web", "api.example.com", 80, Protocol.TLS)]


def test_requests_are_kept_apart_by_method_and_status(words, naming):
    keyed = edge(words, 300, 301, Protocol.HTTP)
    growth = arrays.series(
        {**keyed, "method": 1, "status": 200, "requests": 3, "bins": {7: 3}},
        {**keyed, "method": 1, "status": 200, "shard": 1, "requests": 2, "bins": {7: 1, 9: 1}},
        {**keyed, "method": 3, "status": 500, "requests": 1, "bins": {8: 1}},
    )
    named = naming.series(growth, naming.context(None, {})).named()
    assert [(key.method, key.status) for key in named.keys] == [("GET", 200), ("POST", 500)]
    assert named.sums[:, 0].tolist() == [5, 1]
    cells = zip(
        named.bins.row.tolist(), named.bins.bin.tolist(), named.bins.count.tolist(), strict=True
    )
    assert list(cells) == [(0, 7, 4), (0, 9, 1), (1, 8, 1)]
