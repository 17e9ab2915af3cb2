# SPDX-License-Identifier: Apache-2.0
"""Facts about the host → what is fine, what is missing, what that costs and what to do.

Pure. What the kernel can do is asked of the kernel and handed in as features, never of its version.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from undermesh.host.doctor.facts import HostFacts
from undermesh.host.doctor.neighbours import ForeignProgram, neighbours

Answer = Literal["yes", "no", "unknown"]

_NET_ADMIN, _SYS_ADMIN, _PERFMON, _BPF = 12, 21, 38, 39  # capabilities(7)
_SLOW_CLOCKS = frozenset({"hpet", "acpi_pm", "pit", "jiffies"})
_EARLIEST = 1_735_689_600  # 2025-01-01: a clock before this was never set
_FULL = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at. `needed` false: the host is fit without it, at the cost that is named.

    `cost_if_missing` and `remedy` are empty where the answer is yes.
    """

    name: str
    ok: Answer
    found: str
    cost_if_missing: str = ""
    remedy: str = ""
    needed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What the kernel answered when it was asked for something, by the kernel room."""

    name: str
    ok: Answer
    detail: str = ""
    cost_if_missing: str = ""
    needed: bool = False


def examine(
    facts: HostFacts,
    *,
    features: tuple[Feature, ...] = (),
    programs: tuple[ForeignProgram, ...] = (),
) -> tuple[Check, ...]:
    """Every check, the ones that decide first."""
    return (
        *_kernel(facts),
        *_mounts(facts),
        *_rights(facts),
        *_features(features),
        *_clocks(facts),
        *_surroundings(facts),
        *_others(programs),
        *_quiet_daemons(facts, programs),
    )


def fit(checks: tuple[Check, ...]) -> bool:
    """Whether nothing that is needed is missing."""
    return not any(check.needed and check.ok == "no" for check in checks)


def _answer(value: bool | None) -> Answer:
    return "unknown" if value is None else "yes" if value else "no"


def _check(
    name: str, ok: Answer, found: str, cost: str, remedy: str, *, needed: bool = True
) -> Check:
    """A check whose cost and remedy are kept only where something is missing."""
    if ok == "yes":
        cost = remedy = ""
    return Check(name=name, ok=ok, found=found, cost_if_missing=cost, remedy=remedy, needed=needed)


def _kernel(facts: HostFacts) -> Iterator[Check]:
    yield Check(name="kernel", ok="yes", found=f"Linux {facts.release} on {facts.machine}")
    yield _check(
        "BTF",
        _answer(facts.btf),
        "/sys/kernel/btf/vmlinux" if facts.btf else "no /sys/kernel/btf/vmlinux",
        "no program loads: they are fitted to the running kernel by its type information",
        "run a kernel with CONFIG_DEBUG_INFO_BTF=y (Debian 11, Ubuntu 20.10, RHEL 8.2 and later)",
    )
    if facts.jit is not None:
        yield _check(
            "eBPF JIT",
            _answer(facts.jit > 0),
            f"net.core.bpf_jit_enable = {facts.jit}",
            "programs are interpreted, several times slower",
            "sysctl -w net.core.bpf_jit_enable=1",
            needed=False,
        )
    if facts.lockdown == "confidentiality":
        yield _check(
            "lockdown",
            "no",
            "confidentiality",
            "the kernel lets no tracing program read its memory: drops and processes are not seen",
            "boot with lockdown=integrity",
            needed=False,
        )
    else:
        found = facts.lockdown or "could not tell: securityfs is not mounted"
        ok: Answer = "unknown" if facts.lockdown is None else "yes"
        yield Check(name="lockdown", ok=ok, found=found, needed=False)


def _mounts(facts: HostFacts) -> Iterator[Check]:
    yield _check(
        "cgroup v2",
        _answer(facts.cgroup2 is not None),
        str(facts.cgroup2 or "not mounted"),
        "there is nothing to attach to",
        "mount -t cgroup2 none /sys/fs/cgroup/unified, or boot with "
        "systemd.unified_cgroup_hierarchy=1",
    )
    if facts.cgroup2_is_root is not None:
        yield _check(
            "whole host",
            _answer(facts.cgroup2_is_root),
            "the root of all cgroups" if facts.cgroup2_is_root else "a part of the hierarchy",
            "only processes in this container or cgroup namespace are seen",
            "run undermesh on the host, or share its cgroup namespace (docker run --cgroupns=host)",
            needed=False,
        )
    if facts.cgroup1:
        yield _check(
            "containers by cgroup",
            "unknown" if facts.daemons & {"dockerd", "containerd", "crio"} else "yes",
            f"hybrid hierarchy, cgroup v1 for {', '.join(facts.cgroup1)}",
            "containers whose runtime uses cgroup v1 only share one cgroup in v2 and are told "
            "apart by executable",
            "boot with systemd.unified_cgroup_hierarchy=1",
            needed=False,
        )
    yield _bpffs(facts)
    yield Check(
        name="tracefs",
        ok="yes",
        found="mounted" if facts.tracefs else "not mounted, and not needed",
        needed=False,
    )


def _bpffs(facts: HostFacts) -> Check:
    mounted = facts.bpffs_mounted
    return _check(
        "bpffs",
        "yes" if mounted or facts.bpffs_supported else _answer(facts.bpffs_supported),
        f"{facts.bpffs} is {'' if mounted else 'not '}mounted"
        + ("" if mounted else "; `undermesh up` mounts it"),
        "programs end with the agent",
        "run a kernel with CONFIG_BPF_SYSCALL=y",
    )


def _rights(facts: HostFacts) -> Iterator[Check]:
    if facts.capabilities is None:
        yield Check(name="capabilities", ok="unknown", found="/proc/self/status is not readable")
    else:
        missing = _missing(facts.capabilities)
        yield _check(
            "capabilities",
            _answer(not missing),
            f"missing {', '.join(missing)}" if missing else "all that are needed",
            "`undermesh up` is refused by the kernel",
            "run as root, or give them to the unit (AmbientCapabilities=)",
        )
    version = re.match(r"(\d+)\.(\d+)", facts.release)
    old = version is not None and (int(version[1]), int(version[2])) < (5, 11)
    if old and facts.memlock is not None:
        yield _check(
            "memory lock limit",
            _answer(facts.memlock >= 64 << 20),
            f"{facts.memlock >> 10} KiB",
            "before Linux 5.11 maps count as locked memory: they cannot be made",
            "ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit",
        )


def _missing(capabilities: int) -> list[str]:
    """Before Linux 5.8 CAP_SYS_ADMIN stood for what CAP_BPF and CAP_PERFMON are now."""
    wanted = {"CAP_NET_ADMIN": _NET_ADMIN}
    if not capabilities >> _SYS_ADMIN & 1:
        wanted |= {"CAP_BPF": _BPF, "CAP_PERFMON": _PERFMON, "CAP_SYS_ADMIN": _SYS_ADMIN}
    return [name for name, bit in wanted.items() if not capabilities >> bit & 1]


def _features(features: tuple[Feature, ...]) -> Iterator[Check]:
    for feature in features:
        yield _check(
            feature.name,
            feature.ok,
            feature.detail or ("available" if feature.ok == "yes" else "not available"),
            feature.cost_if_missing,
            "a newer kernel, or one built with it",
            needed=feature.needed,
        )


def _clocks(facts: HostFacts) -> Iterator[Check]:
    yield _check(
        "clock",
        "no" if facts.realtime < _EARLIEST else _answer(facts.synchronised),
        "not set"
        if facts.realtime < _EARLIEST
        else {True: "synchronised", False: "not synchronised", None: "could not tell"}[
            facts.synchronised
        ],
        "times shown are this host's own; latencies are not affected",
        "run chrony, systemd-timesyncd or ntpd",
        needed=False,
    )
    if facts.clocksource is not None:
        yield _check(
            "clock source",
            _answer(facts.clocksource not in _SLOW_CLOCKS),
            facts.clocksource,
            "each time stamp costs about a microsecond instead of some 20 ns",
            "see /sys/devices/system/clocksource/clocksource0/available_clocksource; the kernel "
            "log says why it left the faster one",
            needed=False,
        )


def _surroundings(facts: HostFacts) -> Iterator[Check]:
    yield Check(
        name="systemd",
        ok="yes",
        found="units are named after systemd" if facts.systemd else "not running: cgroups by path",
        needed=False,
    )
    runtimes = sorted(facts.daemons & {"containerd", "crio", "dockerd", "kubelet", "lxcfs"})
    yield Check(
        name="container runtimes",
        ok="yes",
        found=", ".join(runtimes) if runtimes else "none runs",
        needed=False,
    )
    if facts.conntrack is not None:
        used, allowed = facts.conntrack
        yield _check(
            "connection tracking",
            _answer(used < _FULL * allowed),
            f"{used} of {allowed} entries",
            "the host itself drops new connections when it is full",
            "sysctl -w net.netfilter.nf_conntrack_max=<more>",
            needed=False,
        )


def _others(programs: tuple[ForeignProgram, ...]) -> Iterator[Check]:
    """One check for each other eBPF user, ourselves not counted."""
    for other in neighbours(programs):
        if other.name == "undermesh":
            continue
        names = sorted({program.name or "(unnamed)" for program in other.programs})
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        why = "; ".join(other.why)
        count = f"{len(other.programs)} program{'s' if len(other.programs) > 1 else ''}"
        yield Check(
            name=f"eBPF: {other.name}",
            ok="yes" if other.harmless else "no",
            found=f"{count} ({shown}); {why}",
            cost_if_missing="" if other.harmless else "some of its connections are not counted",
            remedy="" if other.harmless else "switch its socket acceleration off",
            needed=False,
        )


def _quiet_daemons(facts: HostFacts, programs: tuple[ForeignProgram, ...]) -> Iterator[Check]:
    """Those that run but show no program, and kube-proxy, which has none."""
    seen = {other.name for other in neighbours(programs)}
    if "kube-proxy" in facts.daemons:
        yield Check(
            name="kube-proxy",
            ok="yes",
            found="it rewrites addresses below us (iptables, nftables or IPVS, no eBPF); both ends "
            "on this host are still one row, others show the service address",
            needed=False,
        )
    agents = {"Cilium": "cilium-agent", "Calico": "calico-node", "Tetragon": "tetragon"}
    for name, daemon in agents.items():
        if daemon in facts.daemons and name not in seen:
            yield Check(
                name=f"eBPF: {name}",
                ok="unknown" if not programs else "yes",
                found=f"{daemon} runs, and none of its programs is seen",
                needed=False,
            )
