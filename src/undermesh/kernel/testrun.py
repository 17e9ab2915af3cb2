# SPDX-License-Identifier: Apache-2.0
"""BPF_PROG_TEST_RUN: run a loaded program on given bytes, once or a million times."""

from dataclasses import dataclass

from undermesh.kernel import libbpf
from undermesh.kernel.kinds import ProgramType
from undermesh.kernel.libbpf import ffi, lib
from undermesh.kernel.programs import Program

_HEADROOM = 256
"""A program may grow a packet by what bpf_xdp_adjust_head or bpf_skb_change_head allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the program returned, the packet and context it left, and ns per run on average."""

    retval: int
    data: bytes
    context: bytes
    duration_ns: int


def run_program(
    program: Program,
    *,
    data: bytes = b"",
    context: bytes = b"",
    repeat: int = 1,
    cpu: int | None = None,
) -> Run:
    """Runs a program.

    `data` is the packet (cgroup_skb and tc: from the Ethernet header, at least 14 bytes), `context`
    the program's context struct. `syscall` programs take a context only and run once; a raw
    tracepoint may be given a `cpu`. Raises CallRefused: EINVAL for a program type or a context the
    kernel cannot test.
    """
    opts = libbpf.options("bpf_test_run_opts")
    packet, given = ffi.from_buffer(data), ffi.new("char[]", context or b"\0")
    out, after = ffi.new("char[]", len(data) + _HEADROOM), ffi.new("char[]", max(1, len(context)))
    if data:
        opts.data_in, opts.data_size_in = packet, len(data)
        opts.data_out, opts.data_size_out = out, len(data) + _HEADROOM
    if context:
        opts.ctx_in, opts.ctx_size_in = given, len(context)
    if program.spec.type == ProgramType.SYSCALL:
        after = given  # it changes its context where it is
    else:
        opts.repeat = repeat
        if context:
            opts.ctx_out, opts.ctx_size_out = after, len(context)
    if cpu is not None:
        opts.flags, opts.cpu = 1, cpu  # BPF_F_TEST_RUN_ON_CPU
    answer = int(lib().bpf_prog_test_run_opts(program.fd, opts))
    libbpf.check(answer, f"test-running {program.name}")
    return Run(
        retval=int(opts.retval),
        data=bytes(ffi.buffer(out, opts.data_size_out)) if data else b"",
        context=bytes(ffi.buffer(after, len(context))),
        duration_ns=int(opts.duration),
    )
