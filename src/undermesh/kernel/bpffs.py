# SPDX-License-Identifier: Apache-2.0
"""The BPF file system, where pins live: find it, mount it when it is missing."""

import errno as errnos
import os
import re
from pathlib import Path

from undermesh.kernel import errors
from undermesh.kernel.libbpf import ffi, libc

DEFAULT = Path("/sys/fs/bpf")

_OCTAL = re.compile(r"\\([0-7]{3})")
"""How mountinfo writes blanks and backslashes (proc(5))."""


def mounted(path: Path) -> bool:
    """Whether `path` is on a BPF file system, by this process's mount table."""
    target = os.path.realpath(path)
    best, kind = "", ""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            left, _, right = line.partition(" - ")
            point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), left.split(" ")[4])
            covers = target == point or target.startswith(point.rstrip("/") + "/")
            if covers and len(point) >= len(best):  # the later of two on one point hides the other
                best, kind = point, right.split(" ")[0]
    return kind == "bpf"


def mount(path: Path = DEFAULT) -> bool:
    """Mounts it at `path` unless it is there; True when it had to.

    Raises MountRefused, NotPermitted.
    """
    if mounted(path):
        return False
    doing = f"mounting the BPF file system at {path}"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.MountRefused(
            doing,
            answer=f"the directory could not be made ({error.strerror})",
            advice="choose another one with `bpffs` in the configuration",
            errno=error.errno or 0,
        ) from error
    source, where = ffi.new("char[]", b"bpf"), ffi.new("char[]", os.fsencode(path))
    data = ffi.new("char[]", b"mode=0700")
    if libc().mount(source, where, source, 0, data) != 0:
        errno = int(ffi.errno)
        if errno == errnos.EPERM:
            raise errors.refused(doing, errno)
        raise errors.MountRefused(
            doing,
            answer=f"the kernel answered {errors.name_of(errno)}",
            advice=f"mount it by hand: mount -t bpf bpf {path}",
            errno=errno,
        )
    return True
