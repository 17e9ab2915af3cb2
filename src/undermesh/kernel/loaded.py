# SPDX-License-Identifier: Apache-2.0
"""Objects in the kernel, before and after their programs are attached."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from undermesh.kernel import errors, links
from undermesh.kernel.btf import Btf
from undermesh.kernel.links import Link
from undermesh.kernel.maps import Map
from undermesh.kernel.programs import Program


@dataclass(slots=True, kw_only=True)
class Loaded:
    """An object in the kernel: maps and verified programs. Owns their descriptors.

    Maps include the compiler's own sections, "tap.rodata".
    """

    name: str
    btf: Btf
    maps: Mapping[str, Map]
    programs: Mapping[str, Program]

    def attach(self, *, cgroup_fd: int = -1) -> "Attached":
        """Attaches every program of a cgroup or tracepoint; takes this object over.

        Raises what links.attach does, with nothing left attached.
        """
        made: dict[str, Link] = {}
        try:
            for name, program in self.programs.items():
                if program.spec.cgroup or program.spec.typed_tracepoint:
                    made[name] = links.attach(program, cgroup_fd=cgroup_fd)
        except errors.KernelError:
            for link in made.values():
                link.close()
            raise
        return Attached(loaded=self, links=made)

    def close(self) -> None:
        """Gives every descriptor back."""
        for owned in self.maps.values():
            owned.close()
        for program in self.programs.values():
            program.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(slots=True, kw_only=True)
class Attached:
    """A loaded object whose programs run. Closing it detaches what is not pinned."""

    loaded: Loaded
    links: Mapping[str, Link]

    def close(self) -> None:
        """Detaches, then gives every descriptor back."""
        for link in self.links.values():
            link.close()
        self.loaded.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
