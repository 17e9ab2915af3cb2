# SPDX-License-Identifier: Apache-2.0
"""What cgroups are called, by the paths that systemd and the container runtimes make."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undermesh.host.containers import ContainerName, PodName, RuntimeNames
from undermesh.host.naming import NAME_LIMIT, clean, name_cgroup

ID = "3f4e" + "0123456789ab" * 5
OTHER = "beef" + "ba9876543210" * 5
UID = "8ff3b1de-6d0a-4c8e-9f57-1f2a3b4c5d6e"
UID_SLICE = UID.replace("-", "_")
USER = "/user.slice/user-1000.slice/user@1000.service"

NAMES = RuntimeNames(
    {
        OTHER: ContainerName(
            name="shop-cart-1", labels={"com.docker.compose.service": "cart"}, runtime="docker"
        )
    },
    {UID: PodName(name="cart-7d9f", namespace="shop")},
)

UNITS = [
    ("/system.slice/nginx.service", "unit", "nginx"),
    ("/system.slice/postgresql@15-main.service", "unit", "postgresql@15-main"),
    (
        "/system.slice/system-postgresql.slice/postgresql@15-main.service",
        "unit",
        "postgresql@15-main",
    ),
    (r"/system.slice/my\x2dshop.service", "unit", "my-shop"),
    (
        r"/system.slice/system-systemd\x2dfsck.slice/systemd-fsck@dev-sda1.service",
        "unit",
        "systemd-fsck@dev-sda1",
    ),
    ("/system.slice/app-backend.service", "unit", "app-backend"),
    ("/system.slice/containerd.service/inner/most", "unit", "containerd"),
    ("/system.slice/run-u17.service", "unit", "run-u17"),
    ("/system.slice/docker.service", "unit", "docker"),
    (f"{USER}/app.slice/syncthing.service", "unit", "syncthing"),
    (f"{USER}/app.slice/app-gnome-firefox-4711.scope", "unit", "firefox"),
    (f"{USER}/app.slice/app-firefox-4711.scope", "unit", "firefox"),
    (f"{USER}/app.slice/app-firefox@4711abcd.service", "unit", "firefox"),
    (rf"{USER}/app.slice/app-org.gnome.Terminal\x2dx-12.scope", "unit", "org.gnome.Terminal-x"),
    (f"{USER}/init.scope", "slice", "init"),
    (f"{USER}", "slice", "user@1000"),
    ("/user.slice/user-1000.slice/session-3.scope", "session", "session-3"),
    ("/user.slice/user-1000.slice/session-c12.scope", "session", "session-c12"),
    ("/init.scope", "slice", "init"),
    ("/system.slice", "slice", "system"),
    ("/", "root", "/"),
    ("", "root", "/"),
    (f"/machine.slice/libpod-conmon-{ID}.scope", "unit", "conmon"),
    ("/payments/api", "cgroup", "payments/api"),
    ("/batch", "cgroup", "batch"),
    ("/custom.slice/batch", "cgroup", "batch"),
    ("/.service", "cgroup", ".service"),
    ("/lxc.monitor.web", "cgroup", "lxc.monitor.web"),
]


@pytest.mark.parametrize(("path", "kind", "name"), UNITS)
def test_systemd_and_plain_cgroups(path, kind, name):
    found = name_cgroup(path)
    assert (found.kind, found.name, found.namespace) == (kind, name, "default")
    assert not found.explicit
    assert found.container is None


def test_a_users_own_services_carry_the_user():
    assert name_cgroup(f"{USER}/app.slice/syncthing.service").labels == {"user": "1000"}


CONTAINERS = [
    (f"/system.slice/docker-{ID}.scope", "docker"),
    (f"/docker/{ID}", "docker"),
    (f"/docker/{OTHER}/docker/{ID}", "docker"),
    (f"/system.slice/docker-{OTHER}.scope/docker/{ID}/init.scope", "docker"),
    (f"/system.slice/nerdctl-{ID}.scope", "nerdctl"),
    (f"{USER}/user.slice/nerdctl-{ID}.scope", "nerdctl"),
    (f"/default/{ID}", ""),
    (f"/machine.slice/libpod-{ID}.scope", "podman"),
    (f"/machine.slice/libpod-{ID}.scope/container", "podman"),
    (f"{USER}/user.slice/libpod-{ID}.scope/container", "podman"),
    (f"/libpod_parent/libpod-{ID}", "podman"),
    (f"/ecs/0f1e2d3c4b5a69788796a5b4c3d2e1f0/{ID}", ""),
]


@pytest.mark.parametrize(("path", "runtime"), CONTAINERS)
def test_a_container_unknown_to_its_runtime_has_its_short_id(path, runtime):
    found = name_cgroup(path, NAMES)
    assert (found.kind, found.name, found.container) == ("container", ID[:12], ID)
    assert found.labels == ({"runtime": runtime} if runtime else {})
    assert found.explicit


@pytest.mark.parametrize(
    "path",
    [f"/docker/{OTHER}", f"/docker/{ID}/docker/{OTHER}", f"/system.slice/docker-{OTHER}.scope"],
)
def test_a_container_known_to_its_runtime_has_that_name_and_labels(path):
    found = name_cgroup(path, NAMES)
    assert (found.kind, found.name) == ("container", "shop-cart-1")
    assert found.labels == {"runtime": "docker", "com.docker.compose.service": "cart"}


PODS = [
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_SLICE}.slice/cri-containerd-{ID}.scope",
    f"/kubepods.slice/kubepods-pod{UID_SLICE}.slice/crio-{ID}.scope",
    f"/kubepods.slice/kubepods-pod{UID_SLICE}.slice/crio-{ID}.scope/container",
    f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UID_SLICE}.slice/docker-{ID}.scope",
    f"/kubepods/burstable/pod{UID}/{ID}",
    f"/kubepods/pod{UID}/{ID}",
    f"/kubepods/pod{UID}/crio-{ID}",
    f"/system.slice/containerd.service/kubepods-burstable-pod{UID_SLICE}.slice:cri-containerd:{ID}",
    f"/system.slice/k3s.service/kubepods/besteffort/pod{UID}/{ID}",
    f"/docker/{OTHER}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UID_SLICE}.slice/cri-containerd-{ID}.scope",
]


@pytest.mark.parametrize("path", PODS)
def test_a_container_of_a_pod_is_the_pod(path):
    found = name_cgroup(path, NAMES)
    assert (found.kind, found.namespace, found.name) == ("pod", "shop", "cart-7d9f")
    assert found.labels["pod-uid"] == UID
    assert found.container == ID
    assert found.explicit


def test_a_pod_of_no_known_name_is_called_by_its_uid():
    path = "/kubepods/podaaaaaaaa-6d0a-4c8e-9f57-1f2a3b4c5d6e/" + ID
    found = name_cgroup(path, NAMES)
    assert (found.kind, found.namespace, found.name) == ("pod", "default", "pod-aaaaaaaa")


def test_a_static_pods_uid_has_no_dashes():
    uid = "0123456789abcdef0123456789abcdef"
    names = RuntimeNames({}, {uid: PodName(name="etcd-n1", namespace="kube-system")})
    found = name_cgroup(f"/kubepods/burstable/pod{uid}/{ID}", names)
    assert (found.namespace, found.name) == ("kube-system", "etcd-n1")


def test_a_pods_container_is_a_label():
    known = ContainerName(name="envoy", namespace="shop", runtime="containerd", pod=UID)
    names = RuntimeNames({ID: known}, NAMES.pods)
    found = name_cgroup(f"/kubepods/burstable/pod{UID}/{ID}", names)
    assert found.name == "cart-7d9f"
    assert found.labels == {"runtime": "containerd", "container": "envoy", "pod-uid": UID}


MACHINES = [
    ("/lxc.payload.web", "web", "lxc"),
    ("/lxc.payload.web/init.scope", "web", "lxc"),
    ("/lxc.payload.web/system.slice/nginx.service", "web/nginx", "lxc"),
    ("/lxc/web/system.slice", "web", "lxc"),
    ("/lxc.payload/web", "web", "lxc"),
    (
        "/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service",
        "web/nginx",
        "nspawn",
    ),
    (r"/machine.slice/machine-qemu\x2d1\x2ddb.scope/libvirt/emulator", "qemu-1-db", "machined"),
    ("/docker/buildkit/mo4mncmo0s5", "buildkit", "buildkit"),
]


@pytest.mark.parametrize(("path", "name", "runtime"), MACHINES)
def test_machines_and_what_runs_in_them(path, name, runtime):
    found = name_cgroup(path)
    assert (found.kind, found.name, found.labels) == ("container", name, {"runtime": runtime})
    assert found.explicit


def test_a_systemd_inside_a_docker_container_tells_its_services_apart():
    found = name_cgroup(f"/docker/{OTHER}/system.slice/nginx.service", NAMES)
    assert (found.kind, found.name) == ("container", "shop-cart-1/nginx")


@pytest.mark.parametrize(
    "path",
    [
        "/undermesh-default/default/web.0a1b2c3d",
        "/undermesh-default/default/web.0a1b2c3d/made/by/the/command",
        "/test.slice/undermesh-t-1/default/web.0a1b2c3d",
    ],
)
def test_what_undermesh_run_started_has_the_name_it_was_given(path):
    found = name_cgroup(path)
    assert (found.kind, found.namespace, found.name) == ("run", "default", "web")
    assert found.explicit


def test_the_namespace_of_a_run_is_in_its_path():
    assert name_cgroup("/undermesh-x/shop/web-2.00000000").namespace == "shop"


@pytest.mark.parametrize(
    "path",
    [
        "/undermesh-default/default/web",
        "/undermesh-default/default/web.xyz",
        "/undermesh-default/Default/web.0a1b2c3d",
        "/undermesh-/default/web.0a1b2c3d",
        "/undermesh/default/web.0a1b2c3d",
    ],
)
def test_what_only_looks_like_a_run_is_a_plain_cgroup(path):
    assert name_cgroup(path).kind == "cgroup"


def test_control_characters_cannot_reach_a_terminal():
    assert name_cgroup("/a\x1b[31mred\x07").name == r"a\x1b[31mred\x07"
    assert name_cgroup("/a\u202eb").name == r"a\u202eb"
    assert name_cgroup(r"/system.slice/a\x1b\x2f\x2db.service").name == r"a\x1b\x2f-b"


def test_bytes_that_are_no_utf8_are_shown_as_bytes():
    assert name_cgroup(os.fsdecode(b"/caf\xe9")).name == r"caf\xe9"


def test_an_enormous_name_is_cut_and_stays_distinct():
    first, second = name_cgroup("/" + "a" * 4000 + "1"), name_cgroup("/" + "a" * 4000 + "2")
    assert len(first.name) == NAME_LIMIT
    assert first.name != second.name


@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_path_has_a_printable_name_of_bounded_length(path):
    found = name_cgroup(path)
    assert 0 < len(found.name) <= NAME_LIMIT
    assert found.name.isprintable()
    assert all(value.isprintable() for value in found.labels.values())


@given(st.text(max_size=50))
def test_cleaning_twice_changes_nothing(text):
    assert clean(clean(text)) == clean(text)
