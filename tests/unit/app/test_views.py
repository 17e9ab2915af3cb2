# SPDX-License-Identifier: Apache-2.0
"""What is asked of the agent."""

import numpy as np
import pytest
from dnslib import QTYPE, RR, A, DNSHeader, DNSQuestion, DNSRecord

from undermesh.app.limits import SECOND_NS
from undermesh.app.views import EdgeFilter
from undermesh.model.flow import FlowState
from undermesh.model.protocol import Protocol
from undermesh.telemetry.flows import FlowFilter
from undermesh.telemetry.samples import SampleFilter
from undermesh.testing import abi, arrays


def edges(node, asked=None, seconds=10):
    asked = asked or EdgeFilter()
    return node.agent.views.edges_lately(seconds * SECOND_NS, asked, at=node.at).edges


def test_the_last_seconds_and_the_total_are_two_views(node):
    node.http(300, 301, 5)
    node.pass_seconds(1)
    node.pass_seconds(20)
    node.http(300, 301, 8)
    node.pass_seconds(1)
    assert node.lately() == {("web", "db"): 3}
    assert node.totals() == {("web", "db"): 8}


def test_a_view_says_which_time_it_covers(node):
    node.pass_seconds(20)
    view = node.agent.views.edges_lately(10 * SECOND_NS, EdgeFilter(), at=node.at)
    assert (view.until_ns - view.since_ns) == 10 * SECOND_NS
    assert view.until_ns == node.at.epoch_ns


def test_what_was_counted_before_the_agent_came_is_in_the_total_only(node):
    node.http(300, 301, 5)
    node.start()
    node.pass_seconds(2)
    assert node.lately() == {}
    assert node.totals() == {("web", "db"): 5}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (EdgeFilter(workload="web"), 1),
        (EdgeFilter(workload="default/web"), 1),
        (EdgeFilter(workload="nobody"), 0),
        (EdgeFilter(namespace="default"), 1),
        (EdgeFilter(namespace="shop"), 0),
        (EdgeFilter(protocol=Protocol.HTTP), 1),
        (EdgeFilter(protocol=Protocol.TLS), 0),
        (EdgeFilter(port=80), 1),
        (EdgeFilter(port=81), 0),
    ],
)
def test_edges_can_be_narrowed(node, asked, found):
    node.pass_seconds(1)
    node.http(300, 301, 5)
    node.pass_seconds(1)
    assert len(edges(node, asked)) == found


def answer(name, address):
    record = DNSRecord(DNSHeader(qr=1), q=DNSQuestion(name))
    record.add_answer(RR(name, QTYPE.A, rdata=A(address)))
    raw = record.pack()
    message = np.zeros(512, np.uint8)
    message[: len(raw)] = np.frombuffer(raw, np.uint8)
    return {"message": message, "len": len(raw)}


def test_external_names_outlive_the_agent(node):
    node.plane.put("um_peers", {"address": arrays.address("192.0.2.1")}, number=500)
    node.plane.emit("um_answers", client=300, **answer("api.example.com", "192.0.2.1"))
    node.pass_seconds(1)
    node.http(300, 500, 5)
    node.pass_seconds(1)
    assert node.totals() == {("web", "api.example.com"): 5}
    node.start()
    assert node.totals() == {("web", "api.example.com"): 5}


def test_nameless_external_peers_are_one_row(node):
    for number in (500, 501):
        node.plane.put(
            "um_peers", {"address": arrays.address(f"192.0.2.{number % 10}")}, number=number
        )
        node.http(300, number, 5)
    node.pass_seconds(1)
    assert node.totals() == {("web", "world"): 10}


def flow(node, **fields):
    words = node.words
    return {
        "client": 300,
        "server": 301,
        "port": 80,
        "l4": 6,
        "l7": words.number_of(Protocol.HTTP),
        "role": words.client,
        **fields,
    }


def test_flows_are_those_that_ended_then_those_that_are_open(node):
    states = abi.enum("um_flow_state")
    closed = flow(node, state=states["UM_FLOW_CLOSED"], cookie=1, ended_ns=9, opened_ns=1)
    node.plane.emit("um_flows", **closed)
    node.plane.tcp = arrays.structs(
        "um_flow", [flow(node, state=states["UM_FLOW_OPEN"], cookie=2, opened_ns=5)]
    )
    node.pass_seconds(1)
    views = node.agent.views
    assert [f.state for f in views.flows(FlowFilter(), limit=10)] == [
        FlowState.CLOSED,
        FlowState.OPEN,
    ]
    assert len(views.flows(FlowFilter(state=FlowState.OPEN), limit=10)) == 1
    assert len(views.flows(FlowFilter(), limit=1)) == 1


def test_one_that_ended_since_the_last_sweep_is_not_open_any_more(node):
    states = abi.enum("um_flow_state")
    node.plane.tcp = arrays.structs(
        "um_flow", [flow(node, state=states["UM_FLOW_OPEN"], cookie=2, opened_ns=5)]
    )
    node.pass_seconds(1)
    ended = node.at.monotonic_ns + 1
    node.plane.emit(
        "um_flows", **flow(node, state=states["UM_FLOW_CLOSED"], cookie=2, ended_ns=ended)
    )
    node.agent.drain(at=node.at)
    assert [f.state for f in node.agent.views.flows(FlowFilter(), limit=9)] == [FlowState.CLOSED]


def test_followers_get_what_ends_and_what_begins(node):
    woken = []
    follower = node.agent.recorder.new_flows.follow(lambda: woken.append(1))
    states = abi.enum("um_flow_state")
    node.plane.emit("um_flows", **flow(node, state=states["UM_FLOW_CLOSED"], cookie=1))
    node.pass_seconds(1)
    batches = follower.take()
    assert woken
    views = node.agent.views
    assert [f.state for b in batches for f in views.follow_flows(b, FlowFilter())] == [
        FlowState.CLOSED
    ]
    node.agent.recorder.new_flows.leave(follower)
    assert len(node.agent.recorder.new_flows) == 0


def test_followers_are_told_the_name_of_who_has_just_come(node):
    follower = node.agent.recorder.new_flows.follow(lambda: None)
    node.owner(300, "web")
    states = abi.enum("um_flow_state")
    node.plane.emit("um_flows", **flow(node, state=states["UM_FLOW_CLOSED"], client=300))
    node.agent.drain(at=node.at)
    rows = [f for b in follower.take() for f in node.agent.views.follow_flows(b, FlowFilter())]
    assert [row.client.name for row in rows] == ["web"]


def test_a_slow_follower_loses_the_oldest_and_is_told(node):
    follower = node.agent.recorder.new_samples.follow(lambda: None)
    for _ in range(100):
        node.plane.emit("um_samples", client=300, server=301)
        node.agent.drain(at=node.at)
    assert follower.take_dropped() == 100 - node.limits.follower
    assert follower.take_dropped() == 0
    assert len(follower.take()) == node.limits.follower


def test_samples_are_kept(node):
    node.plane.emit("um_samples", client=300, server=301, status=200, path=b"/a", path_len=2)
    node.pass_seconds(1)
    (one,) = node.agent.views.samples(SampleFilter(workload="web"), limit=5)
    assert one.path == "/a"


def test_drops_that_grow_are_told_by_their_growth(node):
    views = node.agent.views
    node.plane.put("um_drops", {"reason": 3, "l4": 17, "port": 9}, packets=4, bytes=40)
    grown, before = views.drops_since(None, reason=None, workload=None)
    assert grown == []
    node.plane.put("um_drops", {"reason": 3, "l4": 17, "port": 9}, packets=6, bytes=60)
    (row,), before = views.drops_since(before, reason=None, workload=None)
    assert (row.reason, row.protocol, row.packets, row.bytes) == ("NO_SOCKET", "udp", 2, 20)
    assert views.drops_since(before, reason=None, workload=None)[0] == []


def test_status_tells_losses_from_limits(node):
    node.plane.counters = {"series_full": 3, "samples_limited": 9, "answers_malformed": 1}
    node.plane.emit("um_answers", client=300, len=4)
    node.pass_seconds(1)
    status = node.agent.status(memory_bytes=5, loops=[])
    assert status.lost.lost == {"series_full": 3, "answers_malformed": 2}
    assert status.lost.limited == {"samples_limited": 9}
    assert status.workloads == 2
    assert {ring.name: ring.read for ring in status.rings}["um_answers"] == 1
