# SPDX-License-Identifier: Apache-2.0
"""Programs onto their hooks: attached and pinned when new, replaced when changed, left when equal.

A cgroup hook changes program in place, so that there is no packet without one. A tracepoint's new
program is attached before the old one goes: an event in between is seen by both, never by none.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping

from undermesh.kernel import errors, existing, libbpf, links, roles
from undermesh.kernel.links import Link
from undermesh.kernel.pins import Pins
from undermesh.kernel.programs import Program
from undermesh.kernel.tables import Tables

_TARGETS = {**roles.SWEEPS, **roles.TARGETS}


class Switchboard:
    """The hooks of one plane. `programs` are those that run, which may be an earlier agent's."""

    def __init__(
        self,
        *,
        pinned: Pins,
        tables: Tables,
        programs: Mapping[str, Program],
        cgroup_fd: int,
        missing: dict[str, str],
    ) -> None:
        self.links: dict[str, Link] = {}
        self.programs = dict(programs)
        self.missing = missing
        self._pinned = pinned
        self._tables = tables
        self._cgroup_fd = cgroup_fd

    def attach(self, names: Iterable[str]) -> None:
        """Brings these programs onto their hooks.

        One that is not required and is refused goes into `missing`. Raises what links.attach does.
        """
        for name in names:
            try:
                self.links[name] = self._attach(self.programs[name])
            except errors.KernelError as error:
                if name in roles.REQUIRED:
                    raise
                self.missing[name] = f"{error.answer}; {error.advice}".rstrip("; ")

    def attach_together(self, names: Iterable[str], *, cgroup: str | os.PathLike[str]) -> str:
        """Attaches programs of which one alone does nothing; why none is, empty when all are."""
        wanted = tuple(names)
        lacking = [name for name in wanted if name not in self.programs]
        if not lacking:
            self._cgroup_fd = open_cgroup(cgroup)
            try:
                self.attach(name for name in wanted if name not in self.links)
            finally:
                libbpf.close(self._cgroup_fd)
            lacking = [name for name in wanted if name not in self.links]
        if not lacking:
            return ""
        self.detach(wanted)
        return self.missing.get(lacking[0], "not loaded")

    def detach(self, names: Iterable[str]) -> None:
        """Takes these programs off their hooks; those that are not on them are no error."""
        for name in names:
            self._pinned.unpin_link(name)
            link = self.links.pop(name, None)
            if link is not None:
                link.detach()
                link.close()

    def drop_unknown(self) -> None:
        """Detaches what is pinned and no program of this version: a later version's, or refused."""
        for name in self._pinned.links():
            if name not in self.links:
                self._pinned.unpin_link(name)

    def close(self) -> None:
        """Gives every descriptor back; what is pinned stays attached."""
        for link in self.links.values():
            link.close()
        for program in self.programs.values():
            program.close()

    def _attach(self, program: Program) -> Link:
        old = self._pinned.link(program.name)
        if old is None:
            return self._attach_new(program)
        try:
            aimed = self._same_target(program, old)
            running = self._running(program, old) if aimed else None
            if running is not None:
                self.programs[program.name].close()
                self.programs[program.name] = running
                return old
            if aimed and (program.spec.cgroup or program.spec.of_map):
                old.replace(program)
                return old
            made = self._attach_new(program)
        except errors.KernelError:
            old.close()
            raise
        old.close()
        return made

    def _attach_new(self, program: Program) -> Link:
        """Attaches and pins; a pin of that name is replaced, which detaches its link."""
        made = links.attach(
            program, cgroup_fd=self._cgroup_fd, map_fd=self._target_map_fd(program.name)
        )
        self._pinned.pin_link(made)
        return made

    def _same_target(self, program: Program, old: Link) -> bool:
        """Whether a pinned link is alive and where this program belongs."""
        facts = old.facts()
        if program.spec.cgroup:
            here = os.fstat(self._cgroup_fd).st_ino
            return facts.cgroup_id == here and facts.attach_type == program.spec.attach_type
        if program.spec.iterator or program.spec.of_map:
            return facts.map_id == self._tables.map(_TARGETS[program.name]).id()
        return True

    def _running(self, program: Program, old: Link) -> Program | None:
        """The program behind a pinned link when it does exactly what ours would.

        None also when we may not look at it (that takes CAP_SYS_ADMIN): it is replaced then.
        """
        try:
            running = existing.open_program(old.facts().program_id, program.spec)
        except errors.KernelError:
            return None
        with contextlib.suppress(errors.KernelError):
            if existing.fingerprint(running.facts()) == existing.fingerprint(program.facts()):
                return running
        running.close()
        return None

    def _target_map_fd(self, name: str) -> int | None:
        return self._tables.map(_TARGETS[name]).fd if name in _TARGETS else None


def open_cgroup(path: str | os.PathLike[str]) -> int:
    """A descriptor of a cgroup directory. Raises OperatorError when there is none."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise errors.OperatorError(
            f"opening cgroup {path}",
            answer=error.strerror or "it cannot be opened",
            advice="name a directory below the cgroup v2 mount",
            errno=error.errno or 0,
        ) from error
