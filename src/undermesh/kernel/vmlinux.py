# SPDX-License-Identifier: Apache-2.0
"""The running kernel's own BTF: what its tracepoints pass and what its enums mean.

It is some 6 MB and 130,000 types, so libbpf parses it, the few answers are copied out, and it is
freed again: nothing of it stays in memory.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from undermesh.kernel import errors, libbpf
from undermesh.kernel.btf import Kind
from undermesh.kernel.libbpf import ffi, lib

PATH = Path("/sys/kernel/btf/vmlinux")
DROP_REASON_PREFIX = "SKB_DROP_REASON_"


@contextlib.contextmanager
def opened() -> Iterator["Vmlinux"]:
    """The kernel's BTF while the block runs. Raises BtfMissing."""
    pointer = lib().btf__load_vmlinux_btf()
    if pointer == libbpf.NULL:
        raise errors.BtfMissing(
            f"reading {PATH}",
            answer=f"the kernel does not describe its types ({errors.name_of(ffi.errno)})",
            advice="boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (every current distribution)",
        )
    try:
        yield Vmlinux(pointer)
    finally:
        lib().btf__free(pointer)
        libbpf.trim()


class Vmlinux:
    """Questions to the kernel's BTF; valid inside `opened()` only."""

    __slots__ = ("_btf",)

    def __init__(self, pointer: Any) -> None:
        self._btf = pointer

    def has_tracepoint(self, name: str) -> bool:
        """Whether `tp_btf/name` can be attached (module tracepoints are not looked for)."""
        return self._find(f"btf_trace_{name}", Kind.TYPEDEF) > 0

    def tracepoint_arguments(self, name: str) -> int | None:
        """How many arguments `tp_btf/name` passes; None when there is no such tracepoint.

        The prototype's first parameter is the tracing core's own `void *` and is not counted.
        """
        type_id = self._find(f"btf_trace_{name}", Kind.TYPEDEF)
        for _ in range(8):  # typedef → pointer → prototype, perhaps qualified
            if type_id <= 0:
                return None
            kind, count, behind = self._header(type_id)
            if kind == Kind.FUNC_PROTO:
                return count - 1
            type_id = behind
        return None

    def has_struct(self, name: str) -> bool:
        """Whether the kernel has `struct name`."""
        return self._find(name, Kind.STRUCT) > 0

    def has_function(self, name: str) -> bool:
        """Whether programs may call the kernel's function of that name, if it is one they may."""
        return self._find(name, Kind.FUNC) > 0

    def enum(self, name: str) -> Mapping[str, int]:
        """The values of `enum name`; empty when this kernel has none."""
        type_id = self._find(name, Kind.ENUM)
        if type_id <= 0:
            return {}
        pointer = lib().btf__type_by_id(self._btf, type_id)
        _, count, _ = self._header(type_id)
        entries = ffi.cast("__u32 *", pointer + 1)  # name offset, value
        return {self._string(int(entries[2 * i])): int(entries[2 * i + 1]) for i in range(count)}

    def _find(self, name: str, kind: Kind) -> int:
        return int(lib().btf__find_by_name_kind(self._btf, name.encode(), int(kind)))

    def _header(self, type_id: int) -> tuple[Kind, int, int]:
        pointer = lib().btf__type_by_id(self._btf, type_id)
        word = int(pointer.info)
        return Kind(word >> 24 & 0x1F), word & 0xFFFF, int(pointer.size_or_type)

    def _string(self, offset: int) -> str:
        return libbpf.text(lib().btf__name_by_offset(self._btf, offset))


def drop_reasons() -> Mapping[int, str]:
    """Why packets die, by the number `tp_btf/kfree_skb` passes: {…: "NETFILTER_DROP"}.

    Empty before 5.17, where the kernel gives no reason. `enum skb_drop_reason`'s numbers move
    between versions, so they are read from the running kernel.
    """
    with opened() as kernel:
        values = kernel.enum("skb_drop_reason")
    return {
        number: name.removeprefix(DROP_REASON_PREFIX)
        for name, number in values.items()
        if not name.endswith(("_MAX", "_MASK"))
    }


def missing_tracepoints(wanted: Sequence[tuple[str, int]]) -> Mapping[str, str]:
    """Why each (tracepoint, least number of arguments) cannot be used; those that can are left out.

    Raises BtfMissing.
    """
    reasons: dict[str, str] = {}
    with opened() as kernel:
        for name, least in wanted:
            arguments = kernel.tracepoint_arguments(name)
            if arguments is None:
                reasons[name] = f"this kernel has no tracepoint {name}"
            elif arguments < least:
                reasons[name] = (
                    f"tracepoint {name} passes {arguments} arguments on this kernel, "
                    f"{least} are needed"
                )
    return reasons
