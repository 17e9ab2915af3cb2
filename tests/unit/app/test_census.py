# SPDX-License-Identifier: Apache-2.0
"""Workloads as they start, change and go."""


def names(node):
    now = node.at.monotonic_ns
    return {w.name: w.gone_ns is not None for w in node.agent.views.workloads(now_ns=now)}


def test_who_owns_a_socket_is_listed(node):
    node.pass_seconds(1)
    assert names(node) == {"web": False, "db": False}


def test_who_goes_is_listed_as_gone(node):
    node.pass_seconds(1)
    node.leaves(7, "/system.slice/web.service")
    node.pass_seconds(1)
    assert names(node) == {"web": True, "db": False}


def test_cgroups_older_than_the_agent_are_written_into_the_kernels_table(node):
    node.host.paths[55] = "/user.slice"
    node.pass_seconds(61)
    assert 55 in node.plane.dump("um_cgroups")[0].tolist()


def test_a_removal_nobody_saw_is_late_never_wrong(node):
    node.pass_seconds(1)
    del node.host.paths[7]
    node.pass_seconds(61)
    assert names(node)["web"] is True


def test_a_cgroup_that_never_owned_a_socket_leaves_the_table_soon(node):
    node.plane.put("um_cgroups", 99, path=b"/short", born_ns=1)
    node.leaves(99, "/short")
    node.pass_seconds(4)
    assert 99 not in node.plane.dump("um_cgroups")[0].tolist()


def test_identities_are_written_to_the_owners(node):
    node.pass_seconds(1)
    _keys, values = node.plane.dump("um_owners")
    assert (values["identity"] >= 256).all()
    assert sorted(values["number"].tolist()) == [300, 301]


def test_a_path_too_long_for_the_kernel_is_read_from_the_host(node):
    long = "/kubepods.slice/" + "x" * 200 + "/leaf"
    node.host.paths[60] = long
    node.plane.put("um_cgroups", 60, path=long.encode()[:191], born_ns=1)
    node.plane.put("um_owners", {"cgroup_id": 60, "exe": b"app"}, number=360, first_ns=1)
    node.pass_seconds(1)
    now = node.at.monotonic_ns
    assert long in {w.cgroup for w in node.agent.views.workloads(now_ns=now)}


def test_a_full_table_stops_nobody(node):
    node.sizes["um_cgroups"] = 4
    for ident in range(100, 110):
        node.host.paths[ident] = f"/new/{ident}"
    node.start()
    node.pass_seconds(61)
    assert len(node.plane.dump("um_cgroups")[0]) == 4
    assert names(node) == {"web": False, "db": False}


def test_what_went_while_no_agent_lived_leaves_the_table(node):
    for ident in range(100, 200):
        node.plane.put("um_cgroups", ident, path=f"/old/{ident}".encode(), born_ns=1, gone_ns=5)
    node.start()
    node.pass_seconds(3)
    assert sorted(node.plane.dump("um_cgroups")[0].tolist()) == [1, 7, 8]
