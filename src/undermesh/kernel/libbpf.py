# SPDX-License-Identifier: Apache-2.0
"""libbpf.so.1 and the few calls of libc this room needs, through cffi in ABI mode.

cffi has no types of its own: what comes out of `ffi` or `lib()` is converted to our types in the
function that receives it.
"""

import os
import threading
from collections import deque
from pathlib import Path
from typing import Any

from cffi import FFI

from undermesh.kernel import declarations, errors

NAME = "libbpf.so.1"
INSTALL = "install it: apt-get install libbpf1 (Debian 12, Ubuntu 24.04 and later)"

ffi: Any = FFI()
ffi.cdef(declarations.LIBBPF + declarations.LIBC)
NULL: Any = ffi.NULL

_lock = threading.Lock()
_library: Any = None
_libc: Any = None
_printed: deque[str] = deque(maxlen=64)
_callback: Any = None


def use(path: Path | None = None) -> None:
    """Opens the library: `path` when given, else libbpf.so.1 where the system keeps it.

    The first call decides for the process. Raises LibraryMissing.
    """
    global _library
    with _lock:
        if _library is not None:
            return
        name = NAME if path is None else str(path)
        try:
            library = ffi.dlopen(name)
            # libbpf 0.x, which `path` may name, does not have it.
            _ = library.bpf_map_create
        except (OSError, AttributeError) as error:
            raise errors.LibraryMissing(
                f"opening {name}", answer=str(error), advice=INSTALL
            ) from error
        _capture_prints(library)
        _library = library


def lib() -> Any:
    """The opened library; opens the system's at the first call. Raises LibraryMissing."""
    if _library is None:
        use()
    return _library


def libc() -> Any:
    """The C library of this process."""
    global _libc
    if _libc is None:
        _libc = ffi.dlopen(None)
    return _libc


def version() -> str:
    """libbpf's own version, "v1.1"."""
    return text(lib().libbpf_version_string())


def text(pointer: Any) -> str:
    """A C string as str; "" for NULL."""
    if pointer == NULL:
        return ""
    raw: bytes = ffi.string(pointer)
    return raw.decode(errors="replace")


def check(answer: int, doing: str) -> int:
    """`answer` when it is no error; libbpf 1.x functions answer a negative errno.

    Raises errors.NotPermitted or errors.CallRefused.
    """
    if answer < 0:
        raise errors.refused(doing, -answer)
    return answer


def options(struct: str) -> Any:
    """A zeroed options struct of libbpf with its own size filled in."""
    opts = ffi.new(f"struct {struct} *")
    opts.sz = ffi.sizeof(f"struct {struct}")
    return opts


def possible_cpus() -> int:
    """How many CPUs a per-CPU value has room for."""
    return check(int(lib().libbpf_num_possible_cpus()), "counting possible CPUs")


def info(kind: str, fd: int) -> Any:
    """BPF_OBJ_GET_INFO_BY_FD: `kind` is "bpf_prog_info", "bpf_map_info", "bpf_link_info" …"""
    struct = ffi.new(f"struct {kind} *")
    fill_info(kind, fd, struct)
    return struct


def fill_info(kind: str, fd: int, struct: Any) -> None:
    """The same into `struct`, whose pointers and counts say what else is wanted."""
    size = ffi.new("__u32 *", ffi.sizeof(f"struct {kind}"))
    check(lib().bpf_obj_get_info_by_fd(fd, struct, size), f"asking about a descriptor ({kind})")


def ids(next_id: Any) -> list[int]:
    """Every id that `next_id` (bpf_prog_get_next_id …) enumerates. Raises NotPermitted."""
    found: list[int] = []
    box = ffi.new("__u32 *")
    while (answer := next_id(found[-1] if found else 0, box)) == 0:
        found.append(int(box[0]))
    if answer not in (0, -2):  # ENOENT: past the last one
        raise errors.refused("listing BPF objects", -answer)
    return found


def printed() -> tuple[str, ...]:
    """What libbpf has printed since the last call, oldest first; for error messages."""
    lines = tuple(_printed)
    _printed.clear()
    return lines


def trim() -> None:
    """Gives the memory libbpf's parsing has freed back to the kernel (glibc keeps it otherwise)."""
    try:
        libc().malloc_trim(0)
    except AttributeError:  # not glibc
        return


def _capture_prints(library: Any) -> None:
    """Keeps libbpf's warnings out of stderr and within reach of `printed`."""
    global _callback

    def keep(level: int, template: Any, arguments: Any) -> int:
        if level == 0:  # LIBBPF_WARN
            buffer = ffi.new("char[]", 1024)
            libc().vsnprintf(buffer, 1024, template, arguments)
            _printed.append(text(buffer).removeprefix("libbpf: ").strip())
        return 0

    try:
        # A va_list parameter is passed as a pointer on x86-64 and arm64.
        _callback = ffi.callback("int(int, const char *, void *)", keep)
        library.libbpf_set_print(_callback)
    except MemoryError:  # executable memory is forbidden (MemoryDenyWriteExecute=)
        library.libbpf_set_print(NULL)


def close(fd: int) -> None:
    """Closes a descriptor once; a negative one stands for closed already."""
    if fd >= 0:
        os.close(fd)
