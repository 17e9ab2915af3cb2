# SPDX-License-Identifier: Apache-2.0
"""Links: what keeps a program attached. Pinned, they outlive the process that made them.

Cgroup links coexist with every other link and with programs attached with BPF_F_ALLOW_MULTI, and
take a new program in place with no moment without one. Tracepoint links cannot: they are replaced
by attaching the new one before the old one goes.
"""

import errno as errnos
import os
from dataclasses import dataclass
from typing import Any

from undermesh.kernel import errors, iterators, libbpf, programs
from undermesh.kernel.kinds import LinkType, ProgramType, label
from undermesh.kernel.libbpf import ffi, lib
from undermesh.kernel.programs import Program

_ALLOW_MULTI = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """What the kernel knows of a link; what does not apply is 0.

    `cgroup_id` 0 on a cgroup link means that the cgroup is gone and the link dead. `map_id` is the
    map a pinned iterator reads, or whose sockets have the program.
    """

    id: int
    type: int
    program_id: int
    cgroup_id: int = 0
    attach_type: int = 0
    map_id: int = 0


@dataclass(slots=True, kw_only=True)
class Link:
    """An attached program's link. Owns its descriptor; without a pin, closing it detaches."""

    fd: int
    name: str

    def facts(self) -> LinkFacts:
        """What the kernel says of it now."""
        return facts(self.fd)

    def replace(self, program: Program) -> None:
        """Puts another program in its place, atomically. Raises CallRefused for a tracepoint."""
        doing = f"replacing the program of link {self.name}"
        answer = int(
            lib().bpf_link_update(self.fd, program.fd, libbpf.options("bpf_link_update_opts"))
        )
        libbpf.check(answer, doing)

    def detach(self) -> bool:
        """Detaches it whoever holds it; False where the kernel cannot (tracepoints)."""
        answer = int(lib().bpf_link_detach(self.fd))
        if answer in (-errnos.EOPNOTSUPP, -errnos.EINVAL):
            return False
        libbpf.check(answer, f"detaching link {self.name}")
        return True

    def close(self) -> None:
        """Gives the descriptor back. Closing twice is allowed."""
        fd, self.fd = self.fd, -1
        libbpf.close(fd)


def attach(program: Program, *, cgroup_fd: int = -1, map_fd: int | None = None) -> Link:
    """Attaches a program where its type belongs: a cgroup, its tracepoint, or an iterator's map.

    Raises NotPermitted, HookTaken, CallRefused.
    """
    spec = program.spec
    doing = f"attaching {program.name} ({spec.section})"
    if spec.cgroup:
        fd = _attach_cgroup(program, cgroup_fd, doing)
    elif spec.of_map and map_fd is not None:
        fd = _attach_map(program, map_fd, doing)
    elif spec.iterator:
        fd = iterators.attach(program_fd=program.fd, name=program.name, map_fd=map_fd)
    elif spec.typed_tracepoint:
        # The tracepoint was fixed by BTF id when the program was loaded.
        answer = int(lib().bpf_raw_tracepoint_open(libbpf.NULL, program.fd))
        fd = libbpf.check(answer, doing)
    else:
        kind = label(ProgramType, spec.type)
        raise errors.OurFault(doing, answer=f"programs of type {kind} are not attached here")
    return Link(fd=fd, name=program.name)


def _attach_cgroup(program: Program, cgroup_fd: int, doing: str) -> int:
    path = _path_of(cgroup_fd)
    opts = libbpf.options("bpf_link_create_opts")
    answer = int(lib().bpf_link_create(program.fd, cgroup_fd, program.spec.attach_type, opts))
    if answer == -errnos.EPERM and (
        holder := _exclusive_holder(cgroup_fd, program.spec.attach_type)
    ):
        raise errors.HookTaken(
            f"{doing} to {path}",
            answer=f"{holder} is attached there without BPF_F_ALLOW_MULTI and excludes all others",
            advice="detach it (bpftool cgroup detach) or attach below another cgroup with --scope",
            errno=errnos.EPERM,
        )
    return libbpf.check(answer, f"{doing} to {path}")


def _attach_map(program: Program, map_fd: int, doing: str) -> int:
    """A link to a map of sockets (6.10): those that come in from now on have the program."""
    opts = libbpf.options("bpf_link_create_opts")
    answer = int(lib().bpf_link_create(program.fd, map_fd, program.spec.attach_type, opts))
    return libbpf.check(answer, doing)


def query(cgroup_fd: int, attach_type: int, *, limit: int = 64) -> tuple[int, tuple[int, ...]]:
    """(attach flags, program ids) directly at a cgroup. Raises NotPermitted, CallRefused."""
    flags, box = ffi.new("__u32 *"), ffi.new("__u32[]", limit)
    count = ffi.new("__u32 *", limit)
    answer = int(lib().bpf_prog_query(cgroup_fd, attach_type, 0, flags, box, count))
    if answer != -errnos.ENOSPC:  # more than `limit`: the first ones are there
        libbpf.check(answer, f"asking what is attached to {_path_of(cgroup_fd)}")
    return int(flags[0]), tuple(int(box[i]) for i in range(min(int(count[0]), limit)))


def _exclusive_holder(cgroup_fd: int, attach_type: int) -> str | None:
    try:
        flags, ids = query(cgroup_fd, attach_type)
        if flags & _ALLOW_MULTI or not ids:
            return None
        fd = libbpf.check(int(lib().bpf_prog_get_fd_by_id(ids[0])), "opening a program")
    except errors.KernelError:
        return None
    try:
        return f"program {programs.facts(fd).name or '(unnamed)'} (id {ids[0]})"
    finally:
        libbpf.close(fd)


def facts(fd: int) -> LinkFacts:
    """What the kernel says of the link behind `fd`."""
    name = ffi.new("char[]", 64)  # the kernel asks for room for a target's name on some types
    info = ffi.new("struct bpf_link_info *")
    libbpf.fill_info("bpf_link_info", fd, info)
    kind = int(info.type)
    if kind in (LinkType.RAW_TRACEPOINT, LinkType.ITER):
        info.iter.target_name = int(ffi.cast("uintptr_t", name))
        info.iter.target_name_len = 64
        libbpf.fill_info("bpf_link_info", fd, info)
    return LinkFacts(
        id=int(info.id),
        type=kind,
        program_id=int(info.prog_id),
        cgroup_id=int(info.cgroup.cgroup_id) if kind == LinkType.CGROUP else 0,
        attach_type=int(info.cgroup.attach_type) if kind == LinkType.CGROUP else 0,
        map_id=_map_id(info, kind),
    )


def _map_id(info: Any, kind: int) -> int:
    if kind == LinkType.SOCKMAP:  # struct bpf_link_info: the first of the link's own fields
        return int(info.cgroup.cgroup_id) & 0xFFFFFFFF
    return int(info.iter.map_id) if kind == LinkType.ITER else 0


def _path_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return f"descriptor {fd}"
