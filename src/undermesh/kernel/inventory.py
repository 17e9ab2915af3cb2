# SPDX-License-Identifier: Apache-2.0
"""Who else uses eBPF on this host: every program, every link, what hangs on a cgroup.

Objects come and go while they are listed; one that is gone by the time it is looked at is left out.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from undermesh.kernel import errors, libbpf, links, programs
from undermesh.kernel.kinds import AttachType, LinkType, ProgramType, label
from undermesh.kernel.libbpf import lib

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramUse:
    """A loaded program. `type` in lower case ("cgroup_skb"), `uid` of whoever loaded it."""

    id: int
    type: str
    name: str
    tag: str
    uid: int
    map_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkUse:
    """A link. `cgroup_id` is 0 where it is no cgroup's."""

    id: int
    type: str
    program_id: int
    cgroup_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupUse:
    """Programs attached directly to a cgroup at one hook.

    `shares` is False when they exclude any other program there (no BPF_F_ALLOW_MULTI).
    """

    hook: str
    shares: bool
    program_ids: tuple[int, ...]


CGROUP_HOOKS = tuple(kind for kind in AttachType if kind.name.startswith("CGROUP_"))


def every_program() -> tuple[ProgramUse, ...]:
    """Every program in the kernel. Raises NotPermitted."""
    return tuple(
        ProgramUse(
            id=facts.id,
            type=label(ProgramType, facts.type),
            name=facts.name,
            tag=facts.tag,
            uid=facts.uid,
            map_ids=facts.map_ids,
        )
        for facts in _each(lib().bpf_prog_get_next_id, lib().bpf_prog_get_fd_by_id, programs.facts)
    )


def every_link() -> tuple[LinkUse, ...]:
    """Every link in the kernel. Raises NotPermitted."""
    return tuple(
        LinkUse(
            id=facts.id,
            type=label(LinkType, facts.type),
            program_id=facts.program_id,
            cgroup_id=facts.cgroup_id,
        )
        for facts in _each(lib().bpf_link_get_next_id, lib().bpf_link_get_fd_by_id, links.facts)
    )


def on_cgroup(path: Path) -> tuple[CgroupUse, ...]:
    """What is attached directly to a cgroup, hook by hook; hooks the kernel lacks are left out.

    Raises NotPermitted, and CallRefused for what is no cgroup v2 directory.
    """
    found: list[CgroupUse] = []
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise errors.refused(f"opening cgroup {path}", error.errno or 0) from error
    try:
        for hook in CGROUP_HOOKS:
            try:
                flags, ids = links.query(fd, int(hook))
            except errors.CallRefused:
                continue
            if ids:
                shares = bool(flags & 2)  # BPF_F_ALLOW_MULTI
                name = label(AttachType, hook)
                found.append(CgroupUse(hook=name, shares=shares, program_ids=ids))
    finally:
        os.close(fd)
    return tuple(found)


def holders() -> Mapping[int, tuple[int, ...]]:
    """Program id → processes that hold a descriptor of it or of a link to it, from /proc.

    Reads fdinfo of every BPF descriptor on the host; processes that cannot be read are left out.
    """
    found: dict[int, set[int]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for program in _held_by(pid):
            found.setdefault(program, set()).add(int(pid))
    return {program: tuple(sorted(pids)) for program, pids in found.items()}


def _held_by(pid: str) -> Iterator[int]:
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            if target in ("anon_inode:bpf-prog", "anon_inode:bpf_link"):
                text = Path(f"/proc/{pid}/fdinfo/{name}").read_text(encoding="ascii")
                fields = (line.split(":") for line in text.splitlines())
                yield from (int(f[1]) for f in fields if f[0] == "prog_id")
    except OSError:  # ended meanwhile, or not ours to read
        return


def _each(next_id: Any, open_id: Any, facts: Callable[[int], _T]) -> Iterator[_T]:
    for number in libbpf.ids(next_id):
        fd = int(open_id(number))
        if fd < 0:
            continue
        try:
            yield facts(fd)
        finally:
            libbpf.close(fd)
