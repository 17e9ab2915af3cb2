# SPDX-License-Identifier: Apache-2.0
"""Domain objects as they go over the wire."""

import subprocess
import sys
from ipaddress import ip_address

import msgspec

from undermesh.model.drop import Drop, Endpoint
from undermesh.model.edge import WORLD, Edge, EdgeKey, End, EndKind, Latency
from undermesh.model.protocol import RCODE_UNANSWERED, Failure, Protocol
from undermesh.model.workload import NodeId
from undermesh.wire import drops, edges, graph, status
from undermesh.wire.times import Clock, iso, milliseconds

WEB = End(EndKind.WORKLOAD, "default", "web")


def edge(protocol=Protocol.HTTP, **given):
    fields = {
        "node": NodeId("n1"),
        "key": EdgeKey(WEB, WORLD, 443, protocol),
        "rate": 1.23456,
        "requests": 3,
        "errors": 1,
        "cut": 0,
        "by_status": {503: 1, 200: 2},
        "by_method": {"GET": 3},
        "by_rcode": {},
        "latency": Latency(mean_ns=1e6, p50_ns=1234567.0, p90_ns=2e6, p99_ns=3e6),
        "total_mean_ns": None,
        "request_bytes": 0,
        "response_bytes": 0,
        "rx_bytes": 0,
        "tx_bytes": 0,
        "rx_packets": 0,
        "tx_packets": 0,
        "connections": 1,
        "open": 0,
        "failures": {Failure.REFUSED: 2},
        "connect_mean_ns": None,
        "rtt_us": 12.34,
        "retransmits": 0,
        "resets": 0,
        "desyncs": 0,
        "tls_names": (),
    }
    return Edge(**{**fields, **given})


def test_an_edge_row_has_its_documented_fields():
    row = msgspec.to_builtins(edges.row(edge()))
    assert row["client"] == "web"
    assert (row["server"], row["server_namespace"]) == ("world", "")
    assert (row["p50_ms"], row["rate"], row["rtt_us"]) == (1.235, 1.235, 12.3)
    assert row["total_mean_ms"] is None
    assert list(row["by_status"]) == ["200", "503"]
    assert row["failures"] == 2
    assert row["failures_by_reason"] == {
        "refused": 2,
        "reset": 0,
        "timeout": 0,
        "unreachable": 0,
        "aborted": 0,
        "other": 0,
    }


def test_without_requests_there_are_no_percentiles():
    row = edges.row(edge(latency=None))
    assert (row.p50_ms, row.p90_ms, row.p99_ms, row.mean_ms) == (None, None, None, None)


def test_rcodes_have_names():
    row = edges.row(edge(Protocol.DNS, by_rcode={0: 5, 3: 1, 77: 2, RCODE_UNANSWERED: 1}))
    assert row.rcodes == {"NOERROR": 5, "NXDOMAIN": 1, "RCODE77": 2, "UNANSWERED": 1}


def test_a_client_ignores_what_it_does_not_know_and_defaults_what_it_does_not_get():
    newer = b'{"schema":2,"since":"a","until":"b","new":[1],"edges":[{"client":"a","server":"b",'
    newer += b'"port":1,"protocol":"quic","shiny":true}]}'
    (row,) = msgspec.json.decode(newer, type=edges.Edges).edges
    assert (row.protocol, row.requests, row.p50_ms) == ("quic", 0, None)
    assert msgspec.json.decode(b"{}", type=status.Status).schema == 1


def test_graph_nodes_are_each_end_once():
    nodes = graph.nodes([edge(), edge(Protocol.TLS)])
    assert [(one.id, one.kind, one.node) for one in nodes] == [
        ("default/web", "workload", "n1"),
        ("world", "world", ""),
    ]


def test_endpoints_are_written_as_people_write_them():
    def row(address, port):
        endpoint = Endpoint(address=ip_address(address), port=port)
        return drops.row(
            Drop(
                node=NodeId("n1"),
                reason="NO_SOCKET",
                workload=None,
                protocol="udp",
                port=9,
                packets=1,
                bytes=1,
                last_ns=0,
                source=endpoint,
                destination=None,
            ),
            Clock(offset_ns=0),
        )

    assert row("192.0.2.1", 53).source == "192.0.2.1:53"
    assert row("2001:db8::1", 53).source == "[2001:db8::1]:53"
    assert row("192.0.2.1", 0).source == "192.0.2.1"
    assert row("192.0.2.1", 0).destination == ""


def test_times_are_iso_8601_in_utc():
    assert iso(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123Z"
    assert Clock(offset_ns=1_700_000_000 * 10**9).iso(500_000_000) == "2023-11-14T22:13:20.500Z"
    assert iso(2**80) == iso(2**80)
    assert milliseconds(None) is None


def test_the_wire_needs_no_numpy():
    code = "import sys, undermesh.wire.edges, undermesh.wire.status, undermesh.wire.workloads;"
    code += "sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
