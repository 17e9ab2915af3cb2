# SPDX-License-Identifier: Apache-2.0
"""Counts leave the kernel and are counted once, whatever dies when."""

from dataclasses import replace

import pytest

from undermesh.app.limits import Limits
from undermesh.telemetry.leaving import Pressure
from undermesh.testing.edges import Crash

JOB = "/job-1"


@pytest.fixture
def job(node):
    """A workload with 5 requests to db."""
    node.owner(400, "job-1", cgroup=40, path=JOB)
    node.pass_seconds(1)
    node.http(400, 301, 5)
    node.pass_seconds(1)
    return node


def held(node, name):
    keys, _ = node.plane.dump(name)
    return len(keys)


def test_what_is_gone_leaves_the_kernel_and_stays_in_the_totals(job):
    before = job.totals()
    assert before == {("job-1", "db"): 5}
    job.leaves(40, JOB)
    job.pass_seconds(10)
    assert job.totals() == before
    assert (held(job, "um_series"), held(job, "um_edges")) == (0, 0)
    assert held(job, "um_owners") == 2
    assert 40 not in job.plane.dump("um_cgroups")[0].tolist()


def test_what_still_moves_is_not_folded(job):
    job.leaves(40, JOB)
    for requests in range(6, 20):
        job.http(400, 301, requests)
        job.pass_seconds(1)
    assert held(job, "um_series") == 1
    assert job.totals() == {("job-1", "db"): 19}


def test_live_workloads_keep_their_entries(job):
    job.http(300, 301, 9)
    job.leaves(40, JOB)
    job.pass_seconds(10)
    assert held(job, "um_series") == 1
    assert job.totals() == {("job-1", "db"): 5, ("web", "db"): 9}


def test_who_is_gone_and_folded_is_still_listed_for_a_while(job):
    job.leaves(40, JOB)
    job.pass_seconds(10)

    def listed():
        now = job.at.monotonic_ns
        return {w.name for w in job.agent.views.workloads(now_ns=now) if w.gone_ns is not None}

    assert held(job, "um_owners") == 2
    assert listed() == {"job-1"}
    job.pass_seconds(3601)
    assert listed() == set()


def test_the_last_seconds_still_name_who_is_gone(job):
    job.leaves(40, JOB)
    job.pass_seconds(8)
    assert job.lately(60) == {("job-1", "db"): 5}


def test_a_restart_finds_the_totals(job):
    job.leaves(40, JOB)
    job.pass_seconds(10)
    job.start()
    assert job.totals() == {("job-1", "db"): 5}


@pytest.mark.parametrize("moment", ["begin", "commit"])
def test_killed_while_folding_nothing_is_lost_and_nothing_twice(job, moment):
    job.leaves(40, JOB)
    job.ledger.crash_at = moment
    with pytest.raises(Crash):
        job.pass_seconds(10)
    job.ledger.crash_at = ""
    job.start()
    job.pass_seconds(1)
    assert job.totals() == {("job-1", "db"): 5}
    job.pass_seconds(20)
    assert job.totals() == {("job-1", "db"): 5}
    assert held(job, "um_series") == 0
    assert job.ledger.pending() == []


def test_killed_between_note_and_deletion_the_kernel_is_believed(job):
    job.leaves(40, JOB)
    delete, job.plane.delete = job.plane.delete, lambda name, keys: (_ for _ in ()).throw(Crash())
    with pytest.raises(Crash):
        job.pass_seconds(10)
    job.plane.delete = delete
    job.http(400, 301, 7)
    assert job.start() > 0
    assert job.totals() == {("job-1", "db"): 7}


def test_a_slot_made_anew_after_a_kill_is_counted_beside_what_was_noted(job):
    job.leaves(40, JOB)
    job.ledger.crash_at = "commit"
    with pytest.raises(Crash):
        job.pass_seconds(10)
    job.ledger.crash_at = ""
    job.http(400, 301, 2)
    job.start()
    assert job.totals() == {("job-1", "db"): 7}


def test_new_maps_begin_new_totals_elsewhere(job):
    """The agent resets the ledger itself; names of numbers that began anew are forgotten here."""
    job.notes.put("/nodes/n1/names/300.400", b"stale")
    job.start(continues=False)
    assert job.notes.range("/nodes/n1/names/") == []


def test_what_an_upgrade_replaced_is_counted_once(job):
    job.plane.retired = {
        "um_series": job.plane.dump("um_series"),
        "um_edges": job.plane.dump("um_edges"),
    }
    job.plane.delete("um_series", job.plane.dump("um_series")[0])
    job.plane.delete("um_edges", job.plane.dump("um_edges")[0])
    job.start()
    assert job.totals() == {("job-1", "db"): 5}
    job.http(400, 301, 3)
    job.start()
    assert job.totals() == {("job-1", "db"): 8}


def test_killed_while_taking_over_an_upgrade_it_is_still_counted_once(job):
    retired = {
        "um_series": job.plane.dump("um_series"),
        "um_edges": job.plane.dump("um_edges"),
    }
    job.plane.delete("um_series", retired["um_series"][0])
    job.plane.delete("um_edges", retired["um_edges"][0])
    for moment in ("begin", "commit"):
        if moment == "begin":
            job.plane.retired = retired
        job.ledger.crash_at = moment
        with pytest.raises(Crash):
            job.start()
    job.ledger.crash_at = ""
    job.start()
    assert job.totals() == {("job-1", "db"): 5}


def test_many_that_are_gone_share_a_row_and_none_is_lost(node_of):
    node = node_of(limits=replace(Limits(), gone_ends=20))
    node.owner(301, "db", cgroup=8, path="/system.slice/db.service")
    for number in range(100):
        node.owner(1000 + number, f"job-{number}", cgroup=100 + number, path=f"/jobs/j{number}")
        node.http(1000 + number, 301, 2)
        node.leaves(100 + number, f"/jobs/j{number}")
        node.pass_seconds(1)
    node.pass_seconds(10)
    totals = node.totals()
    assert sum(totals.values()) == 200
    assert len(totals) <= 22
    assert totals["(gone)", "db"] >= 160
    node.start()
    assert node.totals() == totals


def test_a_full_map_gives_up_what_is_idle(node_of):
    node = node_of(limits=replace(Limits(), pressure=Pressure(fill=0.5, idle_ns=60 * 10**9)))
    node.sizes["um_edges"] = 8
    node.sizes["um_series"] = 8
    node.owner(300, "web")
    for number in range(301, 307):
        node.owner(number, f"s{number}", cgroup=number, path=f"/s/{number}")
        node.http(300, number, 1)
    node.pass_seconds(70)
    assert held(node, "um_edges") == 0
    assert sum(node.totals().values()) == 6


def test_drops_of_who_is_gone_stay_counted(job):
    job.plane.put("um_drops", {"owner": 400, "reason": 8, "l4": 6, "port": 80}, packets=4, bytes=9)
    job.leaves(40, JOB)
    job.pass_seconds(10)
    assert held(job, "um_drops") == 0
    (row,) = job.agent.views.drops(reason=None, workload=None)
    assert (row.reason, row.packets, row.workload.name) == ("NETFILTER_DROP", 4, "(gone)")
    job.start()
    assert job.agent.views.drops(reason="netfilter_drop", workload=None) == [row]


def test_after_a_restart_the_longest_gone_still_lose_their_names_first(node_of):
    node = node_of(limits=replace(Limits(), gone_ends=10))
    node.owner(301, "db", cgroup=8, path="/system.slice/db.service")

    def passes(number):
        cgroup, path = 100 + number, f"/job-{number}"
        node.owner(1000 + number, f"job-{number}", cgroup=cgroup, path=path)
        node.http(1000 + number, 301, 1)
        node.pass_seconds(1)
        node.leaves(cgroup, path)
        node.pass_seconds(9)

    for number in (9, 8, 7, 6, 5, 4, 3, 2, 1):
        passes(number)
    node.start()
    for number in range(20, 25):
        passes(number)
    named = {client for client, _ in node.totals()}
    assert {"job-1", "job-2", "job-3"} <= named
    assert not {"job-9", "job-8", "job-7"} & named


def test_who_came_since_the_last_look_is_no_orphan(node):
    """Counters are swept before the census has met their owner."""
    node.second += 20
    node.owner(400, "job-1", cgroup=40, path=JOB)
    node.http(400, 301, 5)
    node.agent.sweep(at=node.at)
    node.pass_seconds(20)
    assert held(node, "um_owners") == 3
    assert held(node, "um_edges") == 1
    assert node.totals() == {("job-1", "db"): 5}
