# SPDX-License-Identifier: Apache-2.0
"""Iterator programs: run one over its objects and collect what it writes.

(Documentation/bpf/bpf_iterators.rst.) The program is attached once, to a map or to nothing; every
run is a descriptor of its own, read to its end.
"""

import errno as errnos
import os

import numpy as np

from undermesh.kernel import errors, libbpf
from undermesh.kernel.kinds import AttachType
from undermesh.kernel.libbpf import ffi, lib

_READ_BYTES = 1 << 18
_RESTARTS = 1000
"""EAGAIN means "a million objects went by in silence, call again" (kernel/bpf/bpf_iter.c)."""


def attach(*, program_fd: int, name: str, map_fd: int | None = None) -> int:
    """A link descriptor for an iterator program, over the elements of a map when one is given.

    Raises NotPermitted, CallRefused.
    """
    opts = libbpf.options("bpf_link_create_opts")
    target = ffi.new("struct bpf_iter_map_target *")
    if map_fd is not None:
        target.map_fd = map_fd
        opts.iter_info = target
        opts.iter_info_len = ffi.sizeof("struct bpf_iter_map_target")
    answer = int(lib().bpf_link_create(program_fd, 0, int(AttachType.TRACE_ITER), opts))
    return libbpf.check(answer, f"attaching iterator {name}")


def run(*, link_fd: int, name: str) -> bytes:
    """Everything one run writes. A read may end inside a record: the whole is put together."""
    doing = f"running iterator {name}"
    fd = libbpf.check(int(lib().bpf_iter_create(link_fd)), doing)
    pieces: list[bytes] = []
    restarts = 0
    try:
        while True:
            try:
                piece = os.read(fd, _READ_BYTES)
            except OSError as error:
                if error.errno == errnos.EAGAIN and restarts < _RESTARTS:
                    restarts += 1
                    continue
                raise errors.refused(doing, error.errno or 0) from error
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
    finally:
        os.close(fd)


def records(*, link_fd: int, name: str, record: np.dtype) -> np.ndarray:
    """What one run writes, as records of one dtype. Raises LayoutMismatch on a broken tail."""
    raw = run(link_fd=link_fd, name=name)
    if len(raw) % record.itemsize:
        raise errors.LayoutMismatch(
            f"reading iterator {name}",
            answer=f"{len(raw)} bytes are no multiple of the record's {record.itemsize}",
        )
    return np.frombuffer(raw, record)
