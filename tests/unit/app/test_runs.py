# SPDX-License-Identifier: Apache-2.0
"""Workloads of `undermesh run`."""

import pytest

from undermesh.app.runs import NoSuchRun


def register(node, name="web", **labels):
    return node.agent.runs.register(
        namespace="shop", name=name, labels=labels, pid=None, now_ns=node.at.monotonic_ns
    )


def test_a_run_gets_a_cgroup_and_an_id_to_end_it_by(node):
    run = register(node)
    assert run.id == f"shop.{run.cgroup.name}"
    assert node.agent.runs.end(run.id)
    assert node.cgroups.list() == ()
    with pytest.raises(NoSuchRun):
        node.agent.runs.end(run.id)


def test_a_process_is_placed_at_once_when_it_is_named(node):
    run = node.agent.runs.register(namespace="a", name="b", labels={}, pid=7, now_ns=0)
    assert node.cgroups.placed == [(run.cgroup, 7)]


def test_labels_outlive_the_agent(node):
    register(node, tier="gold")
    ident = node.cgroups.list()[0].cgroup_id
    node.start()
    node.owner(400, "app", cgroup=ident, path="/undermesh-t/shop/web.00002328")
    node.pass_seconds(1)
    (found,) = [
        w for w in node.agent.views.workloads(now_ns=node.at.monotonic_ns) if int(w.number) == 400
    ]
    assert found.labels["tier"] == "gold"


def test_labels_of_runs_that_ended_meanwhile_are_forgotten(node):
    run = register(node, tier="gold")
    node.cgroups.remove(run.cgroup)
    node.start()
    assert node.notes.range("/nodes/n1/runs/") == []


def test_an_empty_cgroup_is_removed_once_it_had_time_to_be_used(node):
    register(node)
    node.agent.tidy(at=node.at)
    assert len(node.cgroups.list()) == 1
    node.second += 61
    node.agent.tidy(at=node.at)
    assert node.cgroups.list() == ()


def test_a_run_with_processes_is_left(node):
    run = register(node)
    node.cgroups.busy.add(run.cgroup)
    node.second += 61
    node.agent.tidy(at=node.at)
    assert not node.agent.runs.end(run.id)
    assert len(node.cgroups.list()) == 1
