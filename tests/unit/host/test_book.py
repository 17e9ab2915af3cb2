# SPDX-License-Identifier: Apache-2.0
"""Which workload each number is, as owners, cgroups and container names come and go."""

from dataclasses import replace

import pytest

from undermesh.host.book import PATH_LIMIT, WorkloadBook
from undermesh.host.containers import ContainerName, PodName, RuntimeNames
from undermesh.model.workload import IdentityId, NodeId, WorkloadName

ID = "3f4e" + "0123456789ab" * 5
NGINX, ROOT, DOCKER, RUN, PLAIN = 10, 1, 20, 30, 40


@pytest.fixture
def book():
    book = WorkloadBook(node=NodeId("n1"))
    book.cgroups(
        [
            (ROOT, "/", 0, 0),
            (NGINX, b"/system.slice/nginx.service", 0, 0),
            (DOCKER, f"/docker/{ID}", 500, 0),
            (RUN, "/undermesh-default/shop/cart.0a1b2c3d", 600, 0),
            (PLAIN, "/batch", 0, 0),
        ]
    )
    return book


def names(book):
    return {workload.number: str(workload.title) for workload in book.all()}


def containers(**fields):
    return RuntimeNames({ID: ContainerName(**fields)}, {})


def test_a_units_first_executable_is_called_by_the_unit_alone(book):
    book.owners([(257, PLAIN, b"curl", 20), (256, PLAIN, b"job", 10), (258, PLAIN, b"ssh", 30)])
    assert names(book) == {256: "batch", 257: "batch/curl", 258: "batch/ssh"}


def test_it_stays_so_when_older_ones_are_learnt_of_later(book):
    book.owners([(256, PLAIN, b"job", 10)])
    book.owners([(257, PLAIN, b"first", 5)])
    assert names(book) == {256: "batch", 257: "batch/first"}


def test_the_executable_a_unit_is_named_after_takes_its_name(book):
    book.owners([(256, NGINX, b"curl", 10)])
    assert names(book) == {256: "nginx"}
    book.take_changed()
    book.owners([(257, NGINX, b"nginx", 20)])
    assert names(book) == {256: "nginx/curl", 257: "nginx"}
    assert {workload.number for workload in book.take_changed()} == {256, 257}


@pytest.mark.parametrize(
    "path",
    ["/", "/init.scope", "/user.slice/user-0.slice/session-1.scope", "/system.slice"],
)
def test_where_the_cgroup_says_nothing_the_executable_is_the_name(path):
    book = WorkloadBook(node=NodeId("n1"))
    book.cgroups([(7, path, 0, 0)])
    book.owners([(256, 7, b"curl\0\0", 1), (257, 7, b"ssh", 2)])
    assert names(book) == {256: "curl", 257: "ssh"}


def test_an_explicit_name_covers_every_executable(book):
    book.owners([(256, RUN, b"python3", 1), (257, RUN, b"curl", 2)])
    assert names(book) == {256: "shop/cart", 257: "shop/cart"}
    assert book.name(257) == WorkloadName("shop", "cart")
    assert book.get(256).kind == "run"


def test_an_owner_may_be_learnt_of_before_its_cgroup():
    book = WorkloadBook(node=NodeId("n1"))
    book.owners([(256, 77, b"job", 10), (257, 77, b"curl", 20)])
    assert names(book) == {256: "job", 257: "curl"}
    assert book.take_wanting() == (77,)
    assert book.take_wanting() == ()
    book.take_changed()
    book.cgroups([(77, "/batch", 0, 0)])
    assert names(book) == {256: "batch", 257: "batch/curl"}
    assert len(book.take_changed()) == 2


def test_a_path_the_kernel_had_to_cut_is_completed():
    whole = "/" + "deep/" * 40 + f"docker-{ID}.scope"
    cut = whole[:PATH_LIMIT]
    book = WorkloadBook(node=NodeId("n1"))
    book.cgroups([(7, cut.encode(), 5, 0)])
    book.owners([(256, 7, b"job", 10)])
    assert book.get(256).kind == "cgroup"
    assert book.take_wanting() == (7,)
    book.cgroups([(7, whole, 0, 0)])
    assert (book.get(256).kind, book.get(256).name) == ("container", ID[:12])
    book.cgroups([(7, cut.encode(), 5, 0)])
    assert book.get(256).cgroup == whole


def test_a_container_is_named_and_renamed_as_its_runtime_says(book):
    book.owners([(256, DOCKER, b"redis-server", 700)])
    assert book.get(256).name == ID[:12]
    book.runtimes(containers(name="cache", labels={"tier": "back"}, runtime="docker"))
    assert (book.get(256).name, book.get(256).labels) == (
        "cache",
        {"runtime": "docker", "tier": "back"},
    )
    book.take_changed()
    book.runtimes(containers(name="cache-old", runtime="docker"))
    assert [w.name for w in book.take_changed()] == ["cache-old"]


def test_a_container_no_longer_listed_keeps_its_name(book):
    book.owners([(256, DOCKER, b"redis-server", 700)])
    book.runtimes(containers(name="cache"))
    book.take_changed()
    book.runtimes(RuntimeNames({}, {}))
    assert book.get(256).name == "cache"
    assert book.take_changed() == ()


def test_a_pod_is_named_when_the_kubelet_has_said_so():
    uid = "8ff3b1de-6d0a-4c8e-9f57-1f2a3b4c5d6e"
    book = WorkloadBook(node=NodeId("n1"))
    book.cgroups([(7, f"/kubepods/pod{uid}/{ID}", 0, 0)])
    book.owners([(256, 7, b"app", 1)])
    assert str(book.name(256)) == "pod-8ff3b1de"
    book.runtimes(RuntimeNames({}, {uid: PodName(name="cart-0", namespace="shop")}))
    assert str(book.name(256)) == "shop/cart-0"


def test_a_workload_that_went_keeps_its_name_until_it_is_forgotten(book):
    book.owners([(256, RUN, b"job", 650), (257, PLAIN, b"job", 651)])
    book.take_changed()
    book.cgroups([(RUN, "/undermesh-default/shop/cart.0a1b2c3d", 600, 900)])
    assert [(w.number, w.gone_ns) for w in book.take_changed()] == [(256, 900)]
    assert [w.number for w in book.gone()] == [256]
    assert book.spent(before_ns=1000) == ()
    book.forget([256])
    assert not book.holds(256)
    assert book.name(256) is None
    assert book.spent(before_ns=900) == ()
    assert book.spent(before_ns=1000) == (RUN,)
    book.forget_cgroups([RUN, PLAIN])
    assert book.spent(before_ns=1000) == ()
    assert book.get(257).name == "batch"


def test_a_workload_met_only_after_it_went_is_named_all_the_same(book):
    book.cgroups([(99, "/undermesh-default/default/flash.0a1b2c3d", 10, 20)])
    book.owners([(300, 99, b"curl", 15)])
    assert (str(book.name(300)), book.get(300).gone_ns) == ("flash", 20)


def test_a_workload_began_when_its_cgroup_did(book):
    book.owners([(256, RUN, b"job", 650), (257, PLAIN, b"job", 651)])
    assert book.get(256).started_ns == 600
    assert book.get(257).started_ns == 651


def test_what_was_given_as_label_is_a_label(book):
    book.label(RUN, {"team": "blue"})
    book.owners([(256, RUN, b"job", 1)])
    assert book.get(256).labels == {"team": "blue"}
    book.take_changed()
    book.label(RUN, {"team": "red"})
    assert [w.labels for w in book.take_changed()] == [{"team": "red"}]


def test_an_identity_is_kept_through_renames(book):
    book.owners([(256, DOCKER, b"redis-server", 700)])
    book.identify(256, IdentityId(300))
    book.identify(999, IdentityId(301))
    book.runtimes(containers(name="cache"))
    assert book.get(256).identity == 300


def test_rows_that_say_nothing_new_change_nothing(book):
    owners = [(256, NGINX, b"nginx", 1)]
    book.owners(owners)
    before = book.all()
    book.take_changed()
    book.owners(owners)
    book.cgroups([(NGINX, b"/system.slice/nginx.service", 0, 0)])
    assert book.take_changed() == ()
    assert book.all() == before


def test_hostile_executables_are_printable(book):
    book.owners([(256, ROOT, b"\x1b[2J\xff", 1), (257, ROOT, b"", 2)])
    assert names(book) == {256: r"\x1b[2J\xff", 257: "unknown"}


def test_ten_thousand_short_lives_leave_nothing_behind():
    book = WorkloadBook(node=NodeId("n1"))
    for n in range(10_000):
        path = f"/undermesh-default/default/job-{n}.{n:08x}"
        book.cgroups([(1000 + n, path, n + 1, 0)])
        book.owners([(256 + n, 1000 + n, b"job", n + 1)])
        book.cgroups([(1000 + n, path, n + 1, n + 2)])
        assert book.name(256 + n) == WorkloadName("default", f"job-{n}")
        book.forget([256 + n])
        book.forget_cgroups(book.spent(n + 3))
    assert len(book) == 0
    assert book.take_changed() == ()
    assert book.spent(10**9) == ()


def test_a_workload_is_a_value():
    book = WorkloadBook(node=NodeId("n1"))
    book.owners([(256, 7, b"job", 10)])
    workload = book.get(256)
    assert replace(workload, pids=(1,)) != workload
    assert (workload.node, workload.exe, workload.cgroup_id) == ("n1", "job", 7)
