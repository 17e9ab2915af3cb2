# SPDX-License-Identifier: Apache-2.0
from ipaddress import ip_address

import pytest

from tests.unit.telemetry.test_names import Answers, workload
from undermesh.model.flow import FlowState
from undermesh.model.protocol import Failure, Protocol, Transport
from undermesh.model.sample import SampleKind
from undermesh.model.workload import NodeId
from undermesh.telemetry.flows import FlowFilter, FlowReader, text, tls_version
from undermesh.telemetry.names import Names
from undermesh.telemetry.records import Records
from undermesh.telemetry.samples import SampleFilter, SampleReader
from undermesh.testing import abi, arrays

ALL = FlowFilter()


@pytest.fixture
def names():
    there = {300: workload(300, "web"), 301: workload(301, "db")}
    return Names(vocabulary=arrays.vocabulary(), workloads=there.get, answers=Answers(), kept=9)


@pytest.fixture
def reader(names):
    return FlowReader(vocabulary=arrays.vocabulary(), names=names, node=NodeId("n1"))


def flow(**fields):
    words = arrays.vocabulary()
    return {
        "client": 300,
        "server": 301,
        "client_address": arrays.address("127.0.0.1"),
        "server_address": arrays.address("2001:db8::1"),
        "server_port": 8080,
        "port": 80,
        "l4": 6,
        "l7": words.number_of(Protocol.HTTP),
        "role": words.client,
        "state": abi.enum("um_flow_state")["UM_FLOW_CLOSED"],
        "opened_ns": 1000,
        "ended_ns": 5000,
        **fields,
    }


def flows(*rows):
    return arrays.structs("um_flow", [flow(**row) for row in rows])


def read(reader, asked, *rows):
    return reader.read(flows(*rows), asked, seen_ns=9000)


def test_a_record_becomes_a_flow(reader):
    (one,) = read(reader, ALL, {"sni": b"db.example", "tls_version": 0x0304, "pid": 7})
    assert (one.client.name, one.server.name) == ("web", "db")
    assert one.client_address == ip_address("127.0.0.1")
    assert one.server_address == ip_address("2001:db8::1")
    assert (one.port, one.server_port) == (80, 8080)
    assert (one.state, one.protocol, one.transport) == (
        FlowState.CLOSED,
        Protocol.HTTP,
        Transport.TCP,
    )
    assert (one.ended_ns, one.sni, one.tls_version, one.exe) == (5000, "db.example", "1.3", "web")
    assert one.failure is None


def test_an_open_one_has_no_end(reader):
    state = abi.enum("um_flow_state")["UM_FLOW_OPEN"]
    (one,) = read(reader, ALL, {"state": state, "ended_ns": 0})
    assert (one.ended_ns, one.seen_ns) == (None, 9000)


def test_a_failed_attempt_says_why(reader):
    words = arrays.vocabulary()
    (one,) = read(
        reader,
        ALL,
        {
            "state": abi.enum("um_flow_state")["UM_FLOW_FAILED"],
            "failure": abi.enum("um_failure")["UM_FAILURE_REFUSED"],
            "l7": words.undecided,
            "server": 2,
        },
    )
    assert (one.state, one.failure, one.protocol) == (
        FlowState.FAILED,
        Failure.REFUSED,
        Protocol.TCP,
    )
    assert one.server.name == "host"


def test_the_far_end_of_a_flow_is_not_told_again(reader):
    assert read(reader, ALL, {"role": arrays.vocabulary().shadow}) == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (FlowFilter(port=80), 2),
        (FlowFilter(port=8080), 2),
        (FlowFilter(port=81), 0),
        (FlowFilter(protocol=Protocol.HTTP), 1),
        (FlowFilter(protocol=Protocol.TCP), 1),
        (FlowFilter(protocol=Protocol.UDP), 0),
        (FlowFilter(workload="web"), 2),
        (FlowFilter(workload="default/db"), 2),
        (FlowFilter(workload="nobody"), 0),
        (FlowFilter(peer="2001:db8::1"), 2),
        (FlowFilter(peer="192.0.2.1"), 0),
        (FlowFilter(state=FlowState.CLOSED), 2),
        (FlowFilter(state=FlowState.OPEN), 0),
    ],
)
def test_filters(reader, asked, found):
    assert len(read(reader, asked, {}, {"l7": arrays.vocabulary().undecided})) == found


def test_the_newest_that_match_come_oldest_first(reader):
    kept = Records(dtype=abi.dtype("um_flow"), limit=5000)
    for start in range(0, 4000, 100):
        kept.add(flows(*({"ended_ns": n, "port": 80 + n % 2} for n in range(start, start + 100))))
    found = reader.last(kept, FlowFilter(port=81), limit=3, seen_ns=0)
    assert [one.ended_ns for one in found] == [3995, 3997, 3999]
    assert reader.last(kept, ALL, limit=0, seen_ns=0) == []


def test_strangers_bytes_are_made_printable():
    assert text(b"a\x1b[31m\xffz\0junk") == "a\\x1b[31m\\xffz"


def test_tls_versions_have_names():
    assert [tls_version(number) for number in (0, 0x0303, 0x0304, 0x7F12)] == [
        "",
        "1.2",
        "1.3",
        "0x7f12",
    ]


def test_samples_say_what_was_asked_for(names):
    kinds = abi.enum("um_sample_kind")
    records = arrays.structs(
        "um_sample",
        [
            {
                "client": 300,
                "server": 301,
                "client_address": arrays.address("127.0.0.1"),
                "server_address": arrays.address("127.0.0.1"),
                "port": 80,
                "status": 503,
                "method": 1,
                "kind": kinds["UM_SAMPLE_ERROR"],
                "path": b"/cart/\x1b7",
                "path_len": 8,
                "duration_ns": 1500,
            },
            {"client": 300, "server": 301, "kind": kinds["UM_SAMPLE_PLAIN"], "status": 200},
        ],
    )
    reader = SampleReader(vocabulary=arrays.vocabulary(), names=names, node=NodeId("n1"))
    (one,) = reader.read(records, SampleFilter(kind=SampleKind.ERROR, workload="web"))
    assert (one.method, one.path, one.status) == ("GET", "/cart/\\x1b7", 503)
    assert len(reader.read(records, SampleFilter())) == 2
    assert reader.read(records, SampleFilter(peer="nobody")) == []
