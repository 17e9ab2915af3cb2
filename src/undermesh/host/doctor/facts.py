# SPDX-License-Identifier: Apache-2.0
"""What the host is like, read from files, without judging it."""

import ctypes
import os
import re
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from undermesh.host.cgroups import find_cgroup2
from undermesh.host.errors import NoCgroup2

_COMM_LIMIT = 65536
_STA_UNSYNC = 0x40  # adjtimex(2)
_TIMEX_BYTES = 512  # more than any struct timex
_TIMEX_STATUS = 5 * ctypes.sizeof(ctypes.c_long)  # after modes, offset, freq, maxerror, esterror

DAEMONS = frozenset(
    {
        "calico-node",
        "cilium-agent",
        "containerd",
        "crio",
        "dockerd",
        "falco",
        "kube-proxy",
        "kubelet",
        "lxcfs",
        "pem",
        "system-probe",
        "tetragon",
    }
)
"""Process names whose presence is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """The host as its files tell it. None is what could not be found out."""

    release: str
    machine: str
    btf: bool | None
    cgroup2: Path | None
    cgroup2_is_root: bool | None
    """Whether the mount shows the host's whole hierarchy, and not a container's part of it."""
    cgroup1: tuple[str, ...]
    """Controllers that are mounted as cgroup v1."""
    bpffs: Path
    bpffs_mounted: bool | None
    bpffs_supported: bool | None
    tracefs: bool | None
    capabilities: int | None
    """CapEff of this process, capabilities(7)."""
    lockdown: str | None
    """None also where securityfs is not mounted."""
    jit: int | None
    clocksource: str | None
    synchronised: bool | None
    realtime: float
    """UNIX time by the host's clock."""
    memlock: int | None
    """RLIMIT_MEMLOCK in bytes; None when unlimited."""
    systemd: bool
    daemons: frozenset[str]
    """Those of DAEMONS that run."""
    conntrack: tuple[int, int] | None
    """Entries used and allowed; None when connections are not tracked."""


def gather(
    *, bpffs: Path = Path("/sys/fs/bpf"), proc: Path = Path("/proc"), sys: Path = Path("/sys")
) -> HostFacts:
    """Reads the host. Takes a few milliseconds per thousand processes; needs no privilege."""
    mounts = _mounts(_text(proc / "self/mountinfo"))
    cgroup2 = _cgroup2(_text(proc / "self/mountinfo"))
    uname = os.uname()
    soft = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    status = re.search(r"^CapEff:\s*([0-9a-f]+)", _text(proc / "self/status"), re.MULTILINE)
    lockdown = re.search(r"\[(\w+)\]", _text(sys / "kernel/security/lockdown"))
    filesystems = _text(proc / "filesystems").split()
    return HostFacts(
        release=uname.release,
        machine=uname.machine,
        btf=_exists(sys / "kernel/btf/vmlinux"),
        cgroup2=cgroup2,
        cgroup2_is_root=_is_root(cgroup2),
        cgroup1=tuple(sorted(set(_controllers(mounts)))),
        bpffs=bpffs,
        bpffs_mounted=("bpf", str(bpffs)) in {(kind, path) for kind, path, _ in mounts},
        bpffs_supported="bpf" in filesystems if filesystems else None,
        tracefs=any(kind == "tracefs" for kind, _, _ in mounts),
        capabilities=int(status[1], 16) if status else None,
        lockdown=lockdown[1] if lockdown else None,
        jit=_number(proc / "sys/net/core/bpf_jit_enable"),
        clocksource=_text(
            sys / "devices/system/clocksource/clocksource0/current_clocksource"
        ).strip()
        or None,
        synchronised=_synchronised(),
        realtime=time.time(),
        memlock=None if soft == resource.RLIM_INFINITY else soft,
        systemd=(proc.parent / "run/systemd/system").is_dir(),
        daemons=frozenset(_daemons(proc)),
        conntrack=_conntrack(proc / "sys/net/netfilter"),
    )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(1 << 20).decode("utf-8", "replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _exists(path: Path) -> bool | None:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return None
    return True


def _mounts(mountinfo: str) -> list[tuple[str, str, str]]:
    """(file system, mount point, super options) of each mount, proc(5)."""
    found = []
    for line in mountinfo.splitlines():
        mount, dash, source = line.partition(" - ")
        fields, what = mount.split(" "), source.split(" ")
        if dash and len(fields) >= 5 and len(what) >= 3:
            found.append((what[0], fields[4], what[2]))
    return found


def _controllers(mounts: list[tuple[str, str, str]]) -> Iterator[str]:
    known = {"cpu", "memory", "blkio", "pids", "devices", "freezer", "cpuset", "net_cls"}
    for kind, _, options in mounts:
        if kind == "cgroup":
            yield from known.intersection(options.split(","))


def _cgroup2(mountinfo: str) -> Path | None:
    try:
        return find_cgroup2(mountinfo)
    except NoCgroup2:
        return None


def _is_root(cgroup2: Path | None) -> bool | None:
    """The root of the hierarchy has inode 1 (kernfs); in a cgroup namespace the mount has not."""
    try:
        return None if cgroup2 is None else cgroup2.stat().st_ino == 1
    except OSError:
        return None


def _synchronised() -> bool | None:
    """Whether something disciplines the clock, adjtimex(2) with nothing to set."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    if answer < 0:
        return None
    status = int.from_bytes(buffer.raw[_TIMEX_STATUS : _TIMEX_STATUS + 4], "little")
    return not status & _STA_UNSYNC


def _daemons(proc: Path) -> Iterator[str]:
    try:
        names = [name for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return
    for name in names[:_COMM_LIMIT]:
        comm = _text(proc / name / "comm").strip()
        if comm in DAEMONS:
            yield comm


def _conntrack(directory: Path) -> tuple[int, int] | None:
    used, allowed = (
        _number(directory / "nf_conntrack_count"),
        _number(directory / "nf_conntrack_max"),
    )
    return (used, allowed) if used is not None and allowed is not None else None
