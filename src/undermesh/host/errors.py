# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with the host, split by who must act.

HostError
├── NoCgroup2       the operator: no cgroup v2 hierarchy is mounted
├── BadName         the caller: a name or label that cannot be used
└── CgroupRefused   the host: the kernel refused to make, fill or remove a cgroup
"""

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
