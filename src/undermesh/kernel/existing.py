# SPDX-License-Identifier: Apache-2.0
"""Maps and programs that another process, perhaps another version of us, left in the kernel."""

import hashlib
from dataclasses import dataclass

import numpy as np

from undermesh.kernel import libbpf, programs
from undermesh.kernel.btf import Btf
from undermesh.kernel.kinds import MapType
from undermesh.kernel.libbpf import ffi, lib
from undermesh.kernel.maps import Map, MapSpec
from undermesh.kernel.programs import Program, ProgramSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Two programs with equal fingerprints do the same to the same maps.

    `tag` covers the instructions, `maps` the ids of the maps shared between programs, `constants`
    the contents of .rodata, which each load has a map of its own for.
    """

    tag: str
    maps: frozenset[int]
    constants: str


def same_shape(fd: int, spec: MapSpec) -> bool:
    """Whether the map behind `fd` has the type, sizes and flags of `spec`."""
    info = libbpf.info("bpf_map_info", fd)
    found = (info.type, info.key_size, info.value_size, info.max_entries, info.map_flags)
    wanted = (spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags)
    return tuple(map(int, found)) == tuple(map(int, wanted))


def open_map(fd: int, *, name: str) -> Map:
    """A Map over `fd`, which it takes, typed by the BTF the kernel keeps with the map."""
    info = libbpf.info("bpf_map_info", fd)
    key = np.dtype(f"V{int(info.key_size)}")
    value = np.dtype(f"V{int(info.value_size)}")
    if int(info.btf_id) and int(info.btf_value_type_id):
        types = kernel_btf(int(info.btf_id))
        key = types.dtype(int(info.btf_key_type_id))
        value = types.dtype(int(info.btf_value_type_id))
    spec = MapSpec(
        name=name,
        type=MapType(int(info.type)),
        key_size=int(info.key_size),
        value_size=int(info.value_size),
        max_entries=int(info.max_entries),
        flags=int(info.map_flags),
        key=key,
        value=value,
        layout=0,
    )
    return Map(fd=fd, spec=spec)


def open_program(program_id: int, spec: ProgramSpec) -> Program:
    """A loaded program by its id. Raises CallRefused when it is gone."""
    answer = int(lib().bpf_prog_get_fd_by_id(program_id))
    return Program(fd=libbpf.check(answer, f"opening program {spec.name}"), spec=spec)


def kernel_btf(btf_id: int) -> Btf:
    """A BTF blob the kernel holds, by its id."""
    doing = f"reading BTF {btf_id} from the kernel"
    fd = libbpf.check(int(lib().bpf_btf_get_fd_by_id(btf_id)), doing)
    try:
        info = libbpf.info("bpf_btf_info", fd)
        size = int(info.btf_size)
        blob, again = ffi.new("char[]", size), ffi.new("struct bpf_btf_info *")
        again.btf, again.btf_size = int(ffi.cast("uintptr_t", blob)), size
        libbpf.fill_info("bpf_btf_info", fd, again)
        return Btf(bytes(ffi.buffer(blob, size)))
    finally:
        libbpf.close(fd)


def fingerprint(facts: programs.ProgramFacts) -> Fingerprint:
    """What a loaded program does and to which maps. Raises CallRefused when a map is gone."""
    shared: set[int] = set()
    constants = hashlib.blake2b(digest_size=16)
    for map_id in sorted(facts.map_ids):
        fd = libbpf.check(int(lib().bpf_map_get_fd_by_id(map_id)), f"opening map {map_id}")
        try:
            info = libbpf.info("bpf_map_info", fd)
            name = libbpf.text(info.name)
            if name.endswith(".rodata"):
                zero, value = ffi.new("__u32 *", 0), ffi.new("char[]", int(info.value_size))
                answer = int(lib().bpf_map_lookup_elem(fd, zero, value))
                libbpf.check(answer, f"reading {name}")
                constants.update(bytes(ffi.buffer(value)))
            elif "." not in name:  # .bss and .data are a load's own, and none of its meaning
                shared.add(map_id)
        finally:
            libbpf.close(fd)
    return Fingerprint(tag=facts.tag, maps=frozenset(shared), constants=constants.hexdigest())
