# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with the host, split by who must act.

HostError
├── NoCgroup2       the operator: no cgroup v2 hierarchy is mounted
├── BadName         the caller: a name or label that cannot be used
├── CgroupRefused   the host: the kernel refused to make, fill or remove a cgroup
├── DeviceMissing   the operator: a Priority names a device that is not there
├── QdiscTaken      the operator: somebody has put a qdisc of their own on a device
└── ShapingRefused  the host: the kernel refused a step of traffic control
"""

import os
from collections.abc import Sequence
from pathlib import Path


class HostError(Exception):
    """Reading or changing the host went wrong."""


class NoCgroup2(HostError):
    """No cgroup v2 hierarchy is mounted where this process can see it."""

    def __init__(self) -> None:
        super().__init__(
            "looking for cgroup v2 in /proc/self/mountinfo: none is mounted; mount it with "
            "`mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified`, "
            "or boot with systemd.unified_cgroup_hierarchy=1"
        )


class BadName(HostError):
    """A name or label given by the caller cannot be used."""

    def __init__(self, what: str, value: str, allowed: str) -> None:
        shown = ascii(value[:80])
        super().__init__(f"{what} {shown} cannot be used; allowed: {allowed}")
        self.what = what
        self.value = value
        self.allowed = allowed


class CgroupRefused(HostError):
    """The kernel answered no. The OSError is the cause."""

    def __init__(self, doing: str, path: Path, error: OSError, advice: str) -> None:
        answer = error.strerror or str(error)
        super().__init__(f"{doing} {path}: the kernel answered: {answer}; {advice}")
        self.path = path


class DeviceMissing(HostError):
    """A Priority names a network device that is not there."""

    def __init__(self, device: str, there: Sequence[str]) -> None:
        super().__init__(
            f"scheduling device {device}: there is no such device; there are {', '.join(there)}"
        )
        self.device = device


class QdiscTaken(HostError):
    """A device has a qdisc that is neither ours nor the kernel's own."""

    def __init__(self, device: str, *, kind: str, major: int) -> None:
        super().__init__(
            f"scheduling device {device}: {kind} {major:x}: has been put there and is left alone; "
            f"remove it (tc qdisc del dev {device} root), or take {device} out of the Priority"
        )
        self.device = device


class ShapingRefused(HostError):
    """The kernel refused a step of traffic control. The NetlinkError is the cause."""

    def __init__(self, doing: str, device: str, errno: int) -> None:
        advice = {
            1: "needs CAP_NET_ADMIN",
            2: "this kernel has no HTB: load it with modprobe sch_htb",
        }.get(errno, "see dmesg, and tc -d class show")
        super().__init__(
            f"{doing} on {device}: the kernel answered: {os.strerror(errno)}; {advice}"
        )
        self.device = device
        self.errno = errno
