# SPDX-License-Identifier: Apache-2.0
"""Compiled objects, from bytes to attached programs: Opened → Configured → Loaded → Attached.

Each step is a type of its own and uses the one before up: what is not configured cannot be loaded.
Once loaded, nothing of libbpf's stays: descriptors are duplicated and its object is closed.
"""

import hashlib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from undermesh.kernel import errors, libbpf, specs, verifier
from undermesh.kernel.btf import Btf
from undermesh.kernel.libbpf import ffi, lib
from undermesh.kernel.loaded import Loaded
from undermesh.kernel.maps import Map, MapSpec
from undermesh.kernel.programs import Program, ProgramSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What may be chosen between open and load.

    `variables`: `const volatile` globals by name; fields not named keep the object's own value.
    `sizes`: max_entries by map name. `reuse`: descriptors of existing maps by map name, duplicated.
    `skip`: programs that are not loaded.
    """

    variables: Mapping[str, specs.Value] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    reuse: Mapping[str, int] = field(default_factory=dict)
    skip: Collection[str] = ()


class Opened:
    """An object parsed by libbpf; nothing is in the kernel yet."""

    def __init__(self, raw: bytes, *, name: str) -> None:
        """Parses an ELF object. Raises OurFault when libbpf cannot read it."""
        self.name = name
        self._raw = raw
        self._pointer = _open(raw, name)
        size = ffi.new("__u32 *")
        types = lib().btf__raw_data(lib().bpf_object__btf(self._pointer), size)
        self.btf = Btf(bytes(ffi.buffer(types, size[0])))
        found = [specs.of_map(item, self.btf) for item in specs.each_map(self._pointer)]
        self.maps: Mapping[str, MapSpec] = {spec.name: spec for spec in found}
        hooks = [specs.of_program(item) for item in specs.each_program(self._pointer)]
        self.programs: Mapping[str, ProgramSpec] = {spec.name: spec for spec in hooks}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Opens an object file, named after it: "tap" for tap.bpf.o."""
        return cls(path.read_bytes(), name=path.name.removesuffix(".o").removesuffix(".bpf"))

    @property
    def digest(self) -> str:
        """SHA-256 of the object file."""
        return hashlib.sha256(self._raw).hexdigest()

    def again(self) -> "Opened":
        """The same object, fresh: libbpf's cannot be loaded twice."""
        return Opened(self._raw, name=self.name)

    def configure(self, configuration: Configuration) -> "Configured":
        """Takes the object over into its configured form. Raises NotInObject, CallRefused."""
        left = dict(configuration.variables)
        for pointer in specs.each_map(self._pointer):
            name = libbpf.text(lib().bpf_map__name(pointer))
            if name.endswith(".rodata"):
                specs.set_variables(pointer, self.btf, left)
            elif name in configuration.reuse:
                answer = int(lib().bpf_map__reuse_fd(pointer, configuration.reuse[name]))
                libbpf.check(answer, f"reusing map {name} in {self.name}")
            elif name in configuration.sizes:
                answer = int(lib().bpf_map__set_max_entries(pointer, configuration.sizes[name]))
                libbpf.check(answer, f"sizing map {name} in {self.name}")
        if left:
            raise errors.NotInObject(
                f"configuring {self.name}",
                answer=f"it has no constant {', '.join(sorted(left))}",
                advice="declare it `const volatile` at file scope",
            )
        for pointer in specs.each_program(self._pointer):
            if libbpf.text(lib().bpf_program__name(pointer)) in configuration.skip:
                lib().bpf_program__set_autoload(pointer, False)
        taken, self._pointer = self._pointer, libbpf.NULL
        return Configured(taken, opened=self)

    def close(self) -> None:
        """Frees libbpf's object; nothing to do once it is configured."""
        pointer, self._pointer = self._pointer, libbpf.NULL
        if pointer != libbpf.NULL:
            ffi.release(pointer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Configured:
    """An object with its constants and maps settled. `load` uses it up, whatever comes of it."""

    def __init__(self, pointer: Any, *, opened: Opened) -> None:
        self.name = opened.name
        self._pointer = pointer
        self._opened = opened

    def load(self) -> Loaded:
        """Creates its maps and has its programs verified.

        Raises VerifierRejected with the end of the log, NotPermitted, CallRefused; each names the
        program in `.program` when it was a program that was refused.
        """
        pointer, self._pointer = self._pointer, libbpf.NULL
        try:
            logs = verifier.give_logs(pointer)
            libbpf.printed()
            answer = int(lib().bpf_object__load(pointer))
            if answer < 0:
                raise verifier.load_error(self.name, -answer, libbpf.printed(), logs)
            return self._keep(pointer)
        finally:
            ffi.release(pointer)

    def close(self) -> None:
        """Frees it when it was never loaded."""
        pointer, self._pointer = self._pointer, libbpf.NULL
        if pointer != libbpf.NULL:
            ffi.release(pointer)

    def _keep(self, pointer: Any) -> Loaded:
        maps: dict[str, Map] = {}
        for item in specs.each_map(pointer):
            # A reused map has the BTF of the object that made it: the layout is read from ours.
            spec = self._opened.maps[libbpf.text(lib().bpf_map__name(item))]
            spec = replace(spec, max_entries=int(lib().bpf_map__max_entries(item)))
            maps[spec.name] = Map(fd=os.dup(int(lib().bpf_map__fd(item))), spec=spec)
        programs: dict[str, Program] = {}
        for item in specs.each_program(pointer):
            if lib().bpf_program__autoload(item):
                fd = os.dup(int(lib().bpf_program__fd(item)))
                hook = specs.of_program(item)
                programs[hook.name] = Program(fd=fd, spec=hook)
        return Loaded(name=self.name, btf=self._opened.btf, maps=maps, programs=programs)


def _open(raw: bytes, name: str) -> Any:
    opts = libbpf.options("bpf_object_open_opts")
    label = ffi.new("char[]", re.sub(r"\W", "_", name).encode())
    opts.object_name = label
    libbpf.printed()
    pointer = lib().bpf_object__open_mem(ffi.from_buffer(raw), len(raw), opts)
    if pointer == libbpf.NULL:
        raise errors.OurFault(
            f"opening object {name}",
            answer=f"{errors.name_of(ffi.errno)} [{' | '.join(libbpf.printed())}]",
            advice="build it again: ./run build",
        )
    return ffi.gc(pointer, lib().bpf_object__close)
