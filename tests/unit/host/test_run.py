# SPDX-License-Identifier: Apache-2.0
"""Cgroups of `undermesh run`. Plain directories stand in for cgroups; the real ones are tested in
tests/e2e."""

import pytest

from undermesh.host.errors import BadName, CgroupRefused
from undermesh.host.naming import name_cgroup
from undermesh.host.run import RunCgroups, validate_labels, validate_name


@pytest.fixture
def runs(tmp_path):
    return RunCgroups(base=tmp_path, instance="t1")


def test_a_run_has_a_cgroup_whose_path_names_it(runs, tmp_path):
    run = runs.create(namespace="shop", name="web")
    assert run.path.is_dir()
    assert run.cgroup_id == run.path.stat().st_ino
    named = name_cgroup("/" + str(run.path.relative_to(tmp_path)))
    assert (named.kind, named.namespace, named.name) == ("run", "shop", "web")
    assert runs.list() == (run,)


def test_two_runs_of_one_name_do_not_meet(runs):
    assert (
        runs.create(namespace="a", name="web").path != runs.create(namespace="a", name="web").path
    )


@pytest.mark.parametrize(
    "name", ["", "Web", "a.b", "../x", "-a", "a-", "a" * 64, "a/b", "ä", "a\n", "a b"]
)
def test_names_that_are_no_dns_labels_are_refused(runs, name):
    with pytest.raises(BadName):
        runs.create(namespace="default", name=name)
    with pytest.raises(BadName):
        runs.create(namespace=name, name="web")
    with pytest.raises(BadName):
        validate_name("name", name)


@pytest.mark.parametrize(
    "labels",
    [{"": "x"}, {"a b": "x"}, {"a": "x\n"}, {"a": "x" * 300}, {f"l{n}": "" for n in range(65)}],
)
def test_labels_that_cannot_be_shown_are_refused(labels):
    with pytest.raises(BadName):
        validate_labels(labels)


def test_labels_as_kubernetes_has_them_are_taken():
    labels = {"app.kubernetes.io/name": "web", "tier": ""}
    assert validate_labels(labels) == labels


def test_a_process_is_placed_by_writing_its_id(runs):
    run = runs.create(namespace="default", name="web")
    runs.place(run.path, 4711)
    assert (run.path / "cgroup.procs").read_text() == "4711"


def test_placing_where_nothing_is_says_so(runs, tmp_path):
    run = runs.create(namespace="default", name="web")
    run.path.rmdir()
    with pytest.raises(CgroupRefused, match="moving process 4711"):
        runs.place(run.path, 4711)


def test_removing_takes_inner_cgroups_and_empty_parents_along(runs):
    run = runs.create(namespace="default", name="web")
    (run.path / "made" / "inside").mkdir(parents=True)
    assert runs.remove(run.path)
    assert not runs.top.exists()
    assert runs.remove(run.path)


def test_one_that_is_in_use_is_left(runs):
    run = runs.create(namespace="default", name="web")
    (run.path / "busy").write_text("")
    assert not runs.remove(run.path)
    assert runs.sweep() == ()
    assert runs.remove_all(evacuate=False).left == (run.path,)
    assert run.path.exists()


@pytest.mark.parametrize(
    "path", ["x", "../web.0a1b2c3d", "undermesh-t1/../web.0a1b2c3d", "undermesh-t2/a/web.0a1b2c3d"]
)
def test_a_directory_that_is_no_run_is_never_touched(runs, tmp_path, path):
    (tmp_path / "undermesh-t1").mkdir()
    (tmp_path / "web.0a1b2c3d").mkdir()
    with pytest.raises(ValueError, match="not a run"):
        runs.remove(tmp_path / path)
    with pytest.raises(ValueError, match="not a run"):
        runs.place(tmp_path / path, 1)
    assert (tmp_path / "web.0a1b2c3d").exists()


def test_a_sweep_removes_what_killed_keepers_left(runs):
    kept = runs.create(namespace="b", name="kept")
    (kept.path / "busy").write_text("")
    left = [runs.create(namespace=namespace, name="web").path for namespace in ("a", "a", "b")]
    assert set(runs.sweep()) == set(left)
    assert runs.list() == (kept,)
    assert not (runs.top / "a").exists()


def test_without_any_run_there_is_nothing_to_do(runs):
    assert runs.list() == ()
    assert runs.sweep() == ()
    cleared = runs.remove_all()
    assert (cleared.removed, cleared.moved, cleared.left) == ((), (), ())
