# SPDX-License-Identifier: Apache-2.0
"""Programs: what one is before it is loaded, and what the kernel says of a loaded one."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from undermesh.kernel import libbpf
from undermesh.kernel.kinds import AttachType, ProgramType
from undermesh.kernel.libbpf import ffi, lib

CGROUP_TYPES = (
    ProgramType.CGROUP_SKB,
    ProgramType.CGROUP_SOCK,
    ProgramType.CGROUP_SOCK_ADDR,
    ProgramType.CGROUP_SOCKOPT,
    ProgramType.CGROUP_DEVICE,
    ProgramType.CGROUP_SYSCTL,
    ProgramType.SOCK_OPS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSpec:
    """A program of an object. `section` is its SEC() name and says what it hooks."""

    name: str
    section: str
    type: int
    attach_type: int

    @property
    def cgroup(self) -> bool:
        """Whether it attaches to a cgroup."""
        return self.type in CGROUP_TYPES

    @property
    def iterator(self) -> bool:
        """Whether it is an iterator."""
        return self.type == ProgramType.TRACING and self.attach_type == AttachType.TRACE_ITER

    @property
    def of_map(self) -> bool:
        """Whether it attaches to a map, for the sockets in it."""
        return self.type == ProgramType.SK_MSG

    @property
    def typed_tracepoint(self) -> bool:
        """Whether it hooks a tracepoint through BTF (tp_btf)."""
        return self.type == ProgramType.TRACING and self.attach_type == AttachType.TRACE_RAW_TP

    @property
    def tracepoint(self) -> str | None:
        """The tracepoint a tp_btf program hooks; None for every other program."""
        match = re.fullmatch(r"(?:tp_btf|raw_tp)/(\w+)", self.section)
        return match[1] if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFacts:
    """What the kernel knows of a loaded program.

    `tag` is a hash of its instructions (map addresses left out). `verified_insns` is 0 before 5.16;
    `run_cnt` and `run_time_ns` count only while run statistics are on. `loaded_ns` is
    CLOCK_BOOTTIME. The name is cut at 15 characters.
    """

    id: int
    type: int
    name: str
    tag: str
    uid: int
    loaded_ns: int
    map_ids: tuple[int, ...]
    btf_id: int
    verified_insns: int
    run_cnt: int
    run_time_ns: int


@dataclass(slots=True, kw_only=True)
class Program:
    """A loaded program. Owns its descriptor."""

    fd: int
    spec: ProgramSpec

    @property
    def name(self) -> str:
        """Its name in the object, never cut."""
        return self.spec.name

    def facts(self) -> ProgramFacts:
        """What the kernel says of it now."""
        return facts(self.fd)

    def close(self) -> None:
        """Gives the descriptor back. Closing twice is allowed."""
        fd, self.fd = self.fd, -1
        libbpf.close(fd)


def facts(fd: int) -> ProgramFacts:
    """What the kernel says of the program behind `fd`."""
    info = libbpf.info("bpf_prog_info", fd)
    count = int(info.nr_map_ids)
    found = ProgramFacts(
        id=int(info.id),
        type=int(info.type),
        name=libbpf.text(info.name),
        tag=bytes(info.tag).hex(),
        uid=int(info.created_by_uid),
        loaded_ns=int(info.load_time),
        map_ids=(),
        btf_id=int(info.btf_id),
        verified_insns=int(info.verified_insns),
        run_cnt=int(info.run_cnt),
        run_time_ns=int(info.run_time_ns),
    )
    if not count:
        return found
    box, again = ffi.new("__u32[]", count), ffi.new("struct bpf_prog_info *")
    again.nr_map_ids = count
    again.map_ids = int(ffi.cast("uintptr_t", box))
    libbpf.fill_info("bpf_prog_info", fd, again)
    return replace(found, map_ids=tuple(int(i) for i in box[0:count]))


@contextlib.contextmanager
def run_statistics() -> Iterator[None]:
    """Counts runs and their time, of every program on the host, while the block runs.

    Costs each run some 20 to 40 ns; the kernel turns it off when the last holder is gone, killed
    ones included. Raises NotPermitted.
    """
    fd = libbpf.check(int(lib().bpf_enable_stats(0)), "turning run statistics on")
    try:
        yield
    finally:
        libbpf.close(fd)
