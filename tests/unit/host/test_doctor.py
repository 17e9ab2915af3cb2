# SPDX-License-Identifier: Apache-2.0
"""What the host lacks, what that costs, and who else uses eBPF."""

from dataclasses import replace
from pathlib import Path

import pytest

from undermesh.host import doctor
from undermesh.host.doctor.checks import fit
from undermesh.host.doctor.facts import HostFacts
from undermesh.host.doctor.neighbours import ForeignProgram, neighbours, recognise

GOOD = HostFacts(
    release="6.1.0-18-amd64",
    machine="x86_64",
    btf=True,
    cgroup2=Path("/sys/fs/cgroup"),
    cgroup2_is_root=True,
    cgroup1=(),
    bpffs=Path("/sys/fs/bpf"),
    bpffs_mounted=True,
    bpffs_supported=True,
    tracefs=True,
    capabilities=(1 << 41) - 1,
    lockdown="none",
    jit=1,
    clocksource="tsc",
    synchronised=True,
    realtime=1_800_000_000.0,
    memlock=65536,
    systemd=True,
    daemons=frozenset(),
    conntrack=(10, 1000),
)


def program(name="x", kind="cgroup_skb", owner=""):
    return ForeignProgram(name=name, type=kind, owner=owner)


def checks(programs=(), features=(), **changes):
    found = doctor.examine(replace(GOOD, **changes), programs=programs, features=features)
    return {check.name: check for check in found}


def test_a_good_host_lacks_nothing():
    found = doctor.examine(GOOD)
    assert {check.ok for check in found} == {"yes"}
    assert not any(check.cost_if_missing or check.remedy for check in found)
    assert fit(found)


@pytest.mark.parametrize(
    ("name", "changes", "needed"),
    [
        ("BTF", {"btf": False}, True),
        ("cgroup v2", {"cgroup2": None}, True),
        ("bpffs", {"bpffs_mounted": False, "bpffs_supported": False}, True),
        ("capabilities", {"capabilities": 0}, True),
        ("memory lock limit", {"release": "5.10.0"}, True),
        ("whole host", {"cgroup2_is_root": False}, False),
        ("eBPF JIT", {"jit": 0}, False),
        ("lockdown", {"lockdown": "confidentiality"}, False),
        ("clock", {"synchronised": False}, False),
        ("clock", {"realtime": 60.0}, False),
        ("clock source", {"clocksource": "hpet"}, False),
        ("connection tracking", {"conntrack": (999, 1000)}, False),
    ],
)
def test_each_missing_piece_says_its_cost_and_remedy(name, changes, needed):
    check = checks(**changes)[name]
    assert (check.ok, check.needed) == ("no", needed)
    assert check.cost_if_missing
    assert check.remedy
    assert fit((check,)) is not needed


def test_what_cannot_be_told_is_unknown_and_not_missing():
    found = checks(btf=None, capabilities=None, synchronised=None, lockdown=None)
    names = ("BTF", "capabilities", "clock", "lockdown")
    assert [found[name].ok for name in names] == ["unknown"] * 4
    assert fit(tuple(found.values()))


def test_bpffs_that_is_not_mounted_will_be():
    assert "`undermesh up` mounts it" in checks(bpffs_mounted=False)["bpffs"].found


def test_before_5_8_one_capability_stood_for_all():
    only = 1 << 12 | 1 << 21
    assert checks(capabilities=only)["capabilities"].ok == "yes"
    assert "CAP_NET_ADMIN" in checks(capabilities=1 << 21)["capabilities"].found


def test_containers_on_a_hybrid_host_may_share_a_cgroup():
    found = checks(cgroup1=("memory",), daemons=frozenset({"dockerd"}))["containers by cgroup"]
    assert found.ok == "unknown"
    assert "told apart by executable" in found.cost_if_missing
    assert "containers by cgroup" not in checks()


def test_features_of_the_kernel_are_checks():
    feature = doctor.Feature(
        name="tp_btf", ok="no", detail="EPERM", cost_if_missing="no drops", needed=False
    )
    found = checks(features=(feature,))["tp_btf"]
    assert (found.ok, found.found, found.cost_if_missing) == ("no", "EPERM", "no drops")


@pytest.mark.parametrize(
    ("name", "owner", "who"),
    [
        ("sd_fw_egress", "systemd", "systemd"),
        ("sd_devices", "", "systemd"),
        ("cil_sock4_conne", "", "Cilium"),
        ("anything", "cilium-agent", "Cilium"),
        ("anything", "/sys/fs/bpf/cilium/socketlb/x", "Cilium"),
        ("cali_tc_preambl", "", "Calico"),
        ("generic_kprobe_", "", "Tetragon"),
        ("event_execve", "tetragon", "Tetragon"),
        ("kprobe__tcp_con", "", "Datadog"),
        ("x", "system-probe", "Datadog"),
        ("x", "pem", "Pixie"),
        ("", "runc", "container runtimes"),
        ("tap_ingress", "", "undermesh"),
        ("x", "/sys/fs/bpf/undermesh/other/v1/links/x", "undermesh"),
        ("mine", "", ""),
        ("", "", ""),
    ],
)
def test_other_users_are_recognised(name, owner, who):
    assert recognise(program(name, owner=owner)) == who


def test_those_at_our_hooks_get_along_and_it_says_why():
    found = checks(programs=(program("sd_fw_egress"), program("sd_fw_ingress")))["eBPF: systemd"]
    assert found.ok == "yes"
    assert "2 programs (sd_fw_egress, sd_fw_ingress)" in found.found
    assert "all programs at this hook run" in found.found


def test_a_socket_accelerator_hides_its_connections():
    found = checks(programs=(program("cil_redir", "sk_msg"), program("cil_x", "sched_cls")))
    assert found["eBPF: Cilium"].ok == "no"
    assert "not counted" in found["eBPF: Cilium"].cost_if_missing
    assert fit(tuple(found.values()))


def test_our_own_programs_are_no_neighbours():
    assert not any(name.startswith("eBPF:") for name in checks(programs=(program("tap_egress"),)))


def test_the_unknown_come_last():
    found = neighbours([program("mine"), program("sd_devices", "cgroup_device")])
    assert [one.name for one in found] == ["systemd", "others"]


def test_daemons_without_programs_are_named():
    found = checks(daemons=frozenset({"kube-proxy", "calico-node"}))
    assert "no eBPF" in found["kube-proxy"].found
    assert found["eBPF: Calico"].ok == "unknown"
    with_others = checks(daemons=frozenset({"calico-node"}), programs=(program(),))
    assert with_others["eBPF: Calico"].ok == "yes"


def test_this_host_can_be_examined():
    found = doctor.run()
    assert {"kernel", "BTF", "cgroup v2", "capabilities"} <= {check.name for check in found}


def test_an_empty_host_is_unfit_but_no_error(tmp_path):
    facts = doctor.gather(bpffs=tmp_path, proc=tmp_path / "proc", sys=tmp_path / "sys")
    assert (facts.btf, facts.cgroup2, facts.capabilities, facts.jit) == (False, None, None, None)
    assert not fit(doctor.examine(facts))
