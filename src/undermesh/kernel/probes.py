# SPDX-License-Identifier: Apache-2.0
"""What this kernel can do, asked by doing it. Versions are never looked at."""

import errno as errnos
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import NoReturn

from undermesh.kernel import errors, libbpf, vmlinux
from undermesh.kernel.kinds import AttachType, MapType, ProgramType
from undermesh.kernel.libbpf import ffi, lib


class Answer(Enum):
    """Yes, no, or could not tell (no permission, nothing to read)."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "could not tell"

    def __bool__(self) -> NoReturn:
        raise TypeError("an Answer has three values: compare it with one")


# r0 = 1; exit
_RETURN_ONE = struct.pack("<BBhi", 0xB7, 0, 0, 1) + struct.pack("<BBhi", 0x95, 0, 0, 0)

# BTF of `int`, which the kernel wants for socket storage (Documentation/bpf/btf.rst):
# header, one INT type of 4 bytes, signed; strings "\0int\0".
_INT_BTF = (
    struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 16, 16, 5)
    + struct.pack("<IIII", 1, 1 << 24, 4, 1 << 24 | 32)
    + b"\0int\0"
)


def map_type(kind: MapType) -> Answer:
    """Whether maps of this type can be created."""
    return _yes_no(int(lib().libbpf_probe_bpf_map_type(int(kind), libbpf.NULL)))


def program_type(kind: ProgramType) -> Answer:
    """Whether programs of this type can be loaded."""
    return _yes_no(int(lib().libbpf_probe_bpf_prog_type(int(kind), libbpf.NULL)))


def hook(kind: ProgramType, attach: AttachType) -> Answer:
    """Whether a program of this type can be loaded for this hook: loads one that returns 1."""
    opts = libbpf.options("bpf_prog_load_opts")
    opts.expected_attach_type = int(attach)
    return _loads(lambda: _load(kind, opts))


def tracepoint(name: str) -> Answer:
    """Whether `tp_btf/name` is there, by the kernel's BTF."""
    return tracepoints((name,))[name]


def tracepoints(names: Iterable[str]) -> Mapping[str, Answer]:
    """The same for several, with the kernel's BTF read once."""
    try:
        with vmlinux.opened() as kernel:
            return {name: _answer(kernel.has_tracepoint(name)) for name in names}
    except errors.KernelError:
        return dict.fromkeys(names, Answer.UNKNOWN)


def drop_reasons() -> Answer:
    """Whether kfree_skb says why (its third argument, 5.17)."""
    try:
        with vmlinux.opened() as kernel:
            return _answer((kernel.tracepoint_arguments("kfree_skb") or 0) >= 3)
    except errors.KernelError:
        return Answer.UNKNOWN


def refusal() -> Answer:
    """Whether a connect() to a service without backends can be answered ECONNREFUSED.

    That takes bpf_set_retval (5.18); without it the answer is EPERM, as quickly.
    """
    try:
        with vmlinux.opened() as kernel:
            return _answer("BPF_FUNC_set_retval" in kernel.enum("bpf_func_id"))
    except errors.KernelError:
        return Answer.UNKNOWN


def reset() -> Answer:
    """Whether open sockets can be ended from outside (bpf_sock_destroy, 6.5)."""
    try:
        with vmlinux.opened() as kernel:
            return _answer(kernel.has_function("bpf_sock_destroy"))
    except errors.KernelError:
        return Answer.UNKNOWN


def btf() -> Answer:
    """Whether the kernel describes its types, which every program here needs."""
    return _answer(vmlinux.PATH.exists())


def ring_buffer() -> Answer:
    """Whether there are ring buffers (5.8)."""
    return map_type(MapType.RINGBUF)


def socket_storage_clone() -> Answer:
    """Whether an accepted socket can inherit its listener's storage (BPF_F_CLONE)."""
    btf_fd = int(lib().bpf_btf_load(_INT_BTF, len(_INT_BTF), libbpf.options("bpf_btf_load_opts")))
    if btf_fd < 0:
        return _refusal(-btf_fd)
    opts = libbpf.options("bpf_map_create_opts")
    opts.btf_fd, opts.btf_key_type_id, opts.btf_value_type_id = btf_fd, 1, 1
    opts.map_flags = 1 | 1 << 9  # BPF_F_NO_PREALLOC, BPF_F_CLONE
    name = ffi.new("char[]", b"probe")
    try:
        return _loads(
            lambda: int(lib().bpf_map_create(int(MapType.SK_STORAGE), name, 4, 4, 0, opts))
        )
    finally:
        os.close(btf_fd)


def batch_operations() -> Answer:
    """Whether a hash map can be read in batches (5.6)."""
    name = ffi.new("char[]", b"probe")
    opts = libbpf.options("bpf_map_create_opts")
    fd = int(lib().bpf_map_create(int(MapType.HASH), name, 4, 4, 1, opts))
    if fd < 0:
        return _refusal(-fd)
    try:
        count, room = ffi.new("__u32 *", 1), ffi.new("char[]", 16)
        batch = libbpf.options("bpf_map_batch_opts")
        answer = int(lib().bpf_map_lookup_batch(fd, libbpf.NULL, room, room, room, count, batch))
        return _answer(answer in (0, -errnos.ENOENT))
    finally:
        os.close(fd)


def link_update() -> Answer:
    """Whether a link can change its program in place (5.7): asked of a descriptor that is none."""
    answer = int(lib().bpf_link_update(-1, -1, libbpf.options("bpf_link_update_opts")))
    return _answer(answer == -errnos.EBADF) if answer != -errnos.EPERM else Answer.UNKNOWN


def jit() -> Answer:
    """Whether programs are compiled to machine code; interpreted, they cost several times more."""
    try:
        return _answer(Path("/proc/sys/net/core/bpf_jit_enable").read_text().strip() != "0")
    except OSError:
        return Answer.UNKNOWN


def lockdown() -> str | None:
    """ "none", "integrity", "confidentiality" (no tracing), or None: could not tell."""
    return errors.lockdown()


def _load(kind: ProgramType, opts: object) -> int:
    name = ffi.new("char[]", b"probe")
    return int(lib().bpf_prog_load(int(kind), name, b"GPL", _RETURN_ONE, 2, opts))


def _loads(create: Callable[[], int]) -> Answer:
    fd = create()
    if fd < 0:
        return _refusal(-fd)
    os.close(fd)
    return Answer.YES


def _refusal(errno: int) -> Answer:
    return Answer.UNKNOWN if errno in (errnos.EPERM, errnos.ENOMEM) else Answer.NO


def _yes_no(answer: int) -> Answer:
    """libbpf's probes answer 1, 0 or a negative errno."""
    if answer == 0 and errors.missing_capabilities():  # libbpf takes EPERM for "no"
        return Answer.UNKNOWN
    return Answer.UNKNOWN if answer < 0 else _answer(answer == 1)


def _answer(true: bool) -> Answer:
    return Answer.YES if true else Answer.NO
