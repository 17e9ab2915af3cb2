# SPDX-License-Identifier: Apache-2.0
"""Names of containers and pods, from files laid out as each runtime lays them out."""

import json
import os

import pytest

from undermesh.host.runtimes import FILE_LIMIT, RuntimeRoots, Runtimes

ID = "3f4e" + "0123456789ab" * 5
OTHER = "beef" + "ba9876543210" * 5
UID = "8ff3b1de-6d0a-4c8e-9f57-1f2a3b4c5d6e"


@pytest.fixture
def roots(tmp_path):
    return RuntimeRoots(
        docker=tmp_path / "docker",
        podman=tmp_path / "podman",
        homes=tmp_path / "home",
        nerdctl=tmp_path / "nerdctl",
        kubernetes_logs=tmp_path / "log",
    )


def docker(roots, name="/web", container=ID, **config):
    """Writes as Docker does: a new file, renamed over the old one."""
    directory = roots.docker / "containers" / container
    directory.mkdir(parents=True, exist_ok=True)
    document = {"ID": container, "Name": name, "Config": {"Labels": None, **config}}
    (directory / "new").write_text(json.dumps(document))
    (directory / "new").rename(directory / "config.v2.json")


def podman(root, containers, file="overlay-containers/containers.json"):
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([{"id": i, "names": [n]} for i, n in containers.items()]))


def test_a_host_without_containers_has_no_names_and_no_errors(roots):
    runtimes = Runtimes(roots)
    assert runtimes.refresh().containers == {}
    assert runtimes.unreadable == 0


def test_docker_says_name_and_labels(roots):
    docker(roots, Labels={"tier": "back"})
    found = Runtimes(roots).refresh().containers[ID]
    assert (found.name, found.labels, found.runtime) == ("web", {"tier": "back"}, "docker")
    assert found.namespace == "default"


def test_docker_rename_is_followed_and_nothing_else_is_read_again(roots):
    docker(roots)
    docker(roots, name="/db", container=OTHER)
    runtimes = Runtimes(roots)
    first = runtimes.refresh()
    assert runtimes.refresh() is first
    docker(roots, name="/web-old")
    second = runtimes.refresh()
    assert second.containers[ID].name == "web-old"
    assert second.containers[OTHER] is first.containers[OTHER]
    assert first.containers[ID].name == "web"


def test_a_removed_container_is_no_longer_listed(roots):
    docker(roots)
    runtimes = Runtimes(roots)
    assert ID in runtimes.refresh().containers
    (roots.docker / "containers" / ID / "config.v2.json").unlink()
    (roots.docker / "containers" / ID).rmdir()
    assert runtimes.refresh().containers == {}


def test_docker_under_kubernetes_says_the_pod(roots):
    docker(
        roots,
        name="/k8s_app_cart-0_shop_uid_0",
        Labels={
            "io.kubernetes.pod.uid": UID,
            "io.kubernetes.pod.name": "cart-0",
            "io.kubernetes.pod.namespace": "shop",
            "io.kubernetes.container.name": "app",
        },
    )
    found = Runtimes(roots).refresh().containers[ID]
    assert (found.namespace, found.name, found.pod, found.pod_name) == (
        "shop",
        "app",
        UID,
        "cart-0",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "null",
        '{"ID": 5, "Name": "x"}',
        '{"ID": "short", "Name": "/x"}',
        json.dumps({"ID": ID, "Name": None}),
        "[" * 100_000,
        " " * (FILE_LIMIT + 1),
    ],
    ids=lambda text: text[:12] or "empty",
)
def test_a_broken_file_is_counted_once_and_harms_nobody_else(roots, text):
    docker(roots, name="/db", container=OTHER)
    directory = roots.docker / "containers" / ID
    directory.mkdir()
    (directory / "config.v2.json").write_text(text)
    runtimes = Runtimes(roots)
    assert set(runtimes.refresh().containers) == {OTHER}
    assert runtimes.unreadable == 1
    runtimes.refresh()
    assert runtimes.unreadable == 1


def test_a_file_that_breaks_keeps_what_it_said(roots):
    docker(roots)
    runtimes = Runtimes(roots)
    runtimes.refresh()
    (roots.docker / "containers" / ID / "config.v2.json").write_text("{")
    assert runtimes.refresh().containers[ID].name == "web"


def test_labels_are_bounded_and_text(roots):
    labels = {f"l{n:04}": "v" * 1000 for n in range(1000)} | {"a": 5}
    docker(roots, Labels=labels)
    found = Runtimes(roots).refresh().containers[ID].labels
    assert len(found) == 64
    assert max(len(value) for value in found.values()) == 256


def test_podman_rootful_rootless_and_volatile(roots):
    third = "cafe" + "0" * 60
    podman(roots.podman, {ID: "web"})
    podman(roots.podman, {third: "once"}, file="overlay-containers/volatile-containers.json")
    podman(roots.homes / "ann/.local/share/containers/storage", {OTHER: "db"})
    found = Runtimes(roots).refresh().containers
    assert {i: (c.name, c.runtime) for i, c in found.items()} == {
        ID: ("web", "podman"),
        OTHER: ("db", "podman"),
        third: ("once", "podman"),
    }


def test_cri_o_keeps_its_containers_in_the_same_list(roots):
    podman(roots.podman, {ID: f"k8s_app_cart-0_shop_{UID}_0"})
    found = Runtimes(roots).refresh().containers[ID]
    assert (found.namespace, found.pod_name, found.name, found.pod) == (
        "shop",
        "cart-0",
        "app",
        UID,
    )


def test_the_kubelets_logs_name_pods_and_containers(roots):
    links, pods = roots.kubernetes_logs / "containers", roots.kubernetes_logs / "pods"
    links.mkdir(parents=True)
    pods.mkdir()
    (links / f"cart-7d9f-x_shop_my-app-{ID}.log").symlink_to("/nowhere/at/all")
    (links / "something else.log").write_text("")
    (pods / f"shop_cart-7d9f-x_{UID}").mkdir()
    names = Runtimes(roots).refresh()
    found = names.containers[ID]
    assert (found.namespace, found.pod_name, found.name) == ("shop", "cart-7d9f-x", "my-app")
    assert (names.pods[UID].namespace, names.pods[UID].name) == ("shop", "cart-7d9f-x")


def test_a_new_pod_is_seen(roots):
    pods = roots.kubernetes_logs / "pods"
    pods.mkdir(parents=True)
    runtimes = Runtimes(roots)
    assert runtimes.refresh().pods == {}
    (pods / f"shop_cart_{UID}").mkdir()
    # A directory's time stamp may be too coarse to tell two changes apart; a second one is not.
    os.utime(pods, ns=(1, 1))
    assert runtimes.refresh().pods[UID].name == "cart"


def test_nerdctl_keeps_a_file_per_name(roots):
    names = roots.nerdctl / "1935db59" / "names" / "default"
    names.mkdir(parents=True)
    (names / "web").write_text(ID)
    (names / "broken").write_text("no id")
    found = Runtimes(roots).refresh().containers
    assert {i: (c.name, c.runtime) for i, c in found.items()} == {ID: ("web", "nerdctl")}
