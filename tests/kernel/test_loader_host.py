# SPDX-License-Identifier: Apache-2.0
"""What the kernel can do and who else uses it: probes, its BTF, the inventory, bpffs and pins."""

import os

import pytest

from undermesh.kernel import bpffs, errors, inventory, links, pins, probes, vmlinux
from undermesh.kernel.kinds import AttachType, MapType, ProgramType
from undermesh.kernel.objects import Configuration, Opened
from undermesh.kernel.probes import Answer


@pytest.mark.parametrize(
    "probe",
    [
        probes.btf,
        probes.ring_buffer,
        probes.socket_storage_clone,
        probes.batch_operations,
        probes.link_update,
        probes.drop_reasons,
        probes.refusal,
        probes.reset,
    ],
)
def test_this_kernel_has_what_undermesh_wants(probe):
    assert probe() is Answer.YES


def test_a_hook_belongs_to_its_program_type():
    kind = ProgramType.CGROUP_SOCK_ADDR
    assert probes.hook(kind, AttachType.CGROUP_INET4_CONNECT) is Answer.YES
    assert probes.hook(kind, AttachType.SK_LOOKUP) is Answer.NO


def test_types_are_probed_by_making_one():
    assert probes.map_type(MapType.SK_STORAGE) is Answer.YES
    assert probes.program_type(ProgramType.SYSCALL) is Answer.YES


def test_tracepoints_are_looked_up_in_the_kernels_own_types():
    found = probes.tracepoints(("sched_process_exec", "no_such_thing"))
    assert found == {"sched_process_exec": Answer.YES, "no_such_thing": Answer.NO}
    wanted = [("kfree_skb", 3), ("kfree_skb_", 1), ("sched_process_exec", 99)]
    missing = vmlinux.missing_tracepoints(wanted)
    assert "no tracepoint kfree_skb_" in missing["kfree_skb_"]
    assert "99 are needed" in missing["sched_process_exec"]
    assert "kfree_skb" not in missing


def test_an_answer_has_no_truth_value():
    with pytest.raises(TypeError):
        assert Answer.NO


def test_drop_reasons_have_the_running_kernels_numbers():
    reasons = vmlinux.drop_reasons()
    assert "NETFILTER_DROP" in reasons.values()
    assert reasons[2] == "NOT_SPECIFIED"


def test_attached_programs_show_in_the_inventory(objects, cgroup):
    loaded = Opened.read(objects / "sample.bpf.o").configure(Configuration()).load()
    fd = os.open(cgroup, os.O_RDONLY)
    try:
        with loaded.attach(cgroup_fd=fd) as attached:
            ours = attached.loaded.programs["out"].facts().id
            programs = {use.id: use for use in inventory.every_program()}
            assert (programs[ours].name, programs[ours].type) == ("out", "cgroup_skb")
            uses = {use.program_id: use for use in inventory.every_link()}
            assert uses[ours].cgroup_id == os.stat(cgroup).st_ino
            hooks = {use.hook: use for use in inventory.on_cgroup(cgroup)}
            assert hooks["cgroup_inet_egress"].program_ids == (ours,)
            assert hooks["cgroup_inet_egress"].shares
            assert os.getpid() in inventory.holders()[ours]
    finally:
        os.close(fd)


def test_bpffs_is_found_and_mounting_twice_does_nothing(bpf_dir):
    assert bpffs.mounted(bpf_dir)
    assert not bpffs.mount(bpf_dir)
    assert not bpffs.mounted(bpf_dir.parent)


def test_bpffs_cannot_be_mounted_on_what_is_no_directory(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(errors.MountRefused, match="directory could not be made"):
        bpffs.mount(tmp_path / "file")


def test_an_instance_is_held_by_one_agent(bpf_dir, instance):
    lock = pins.Lock(bpffs=bpf_dir, instance=instance)
    with pytest.raises(errors.InstanceBusy, match=instance):
        pins.Lock(bpffs=bpf_dir, instance=instance)
    with pytest.raises(errors.InstanceBusy):
        pins.remove(bpffs=bpf_dir, instance=instance)
    lock.release()
    pins.Lock(bpffs=bpf_dir, instance=instance).release()
    pins.remove(bpffs=bpf_dir, instance=instance)
    assert not (bpf_dir / "undermesh" / instance).exists()


def test_removing_what_is_not_there_is_no_error(bpf_dir, instance):
    assert pins.remove(bpffs=bpf_dir, instance=instance).directories == ()


@pytest.mark.parametrize("name", ["", "../x", "a.b", "UPPER", "-dash", "x" * 33])
def test_an_instance_name_cannot_leave_its_directory(bpf_dir, name):
    with pytest.raises(errors.OperatorError, match="no name"):
        pins.Lock(bpffs=bpf_dir, instance=name)


def test_pinned_links_stay_attached_until_removed(objects, cgroup, bpf_dir, instance):
    lock = pins.Lock(bpffs=bpf_dir, instance=instance)
    loaded = Opened.read(objects / "sample.bpf.o").configure(Configuration()).load()
    fd = os.open(cgroup, os.O_RDONLY)
    with loaded, pins.Pins(root=lock.root, version=1) as pinned:
        for name in ("entries", "numbers"):
            pinned.pin_map(loaded.maps[name])
        for name in ("out", "exec"):
            link = links.attach(loaded.programs[name], cgroup_fd=fd)
            pinned.pin_link(link)
            pinned.pin_link(link)  # in place of itself
            link.close()
        assert pinned.links() == ("exec", "out")
        assert pinned.layout("entries") == loaded.maps["entries"].spec.layout
        assert pinned.layout("sockets") is None
        pinned.retire_map("numbers")
        assert [name for name, _ in pinned.retired()] == ["numbers"]
        assert pinned.maps() == ("entries",)
    assert len(links.query(fd, AttachType.CGROUP_INET_EGRESS)[1]) == 1
    lock.release()
    removed = pins.remove(bpffs=bpf_dir, instance=instance)
    assert removed.links == ("exec", "out")
    assert removed.maps == ("entries",)
    assert links.query(fd, AttachType.CGROUP_INET_EGRESS)[1] == ()
    assert not (bpf_dir / "undermesh" / instance).exists()
    os.close(fd)
