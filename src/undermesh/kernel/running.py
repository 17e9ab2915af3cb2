# SPDX-License-Identifier: Apache-2.0
"""A data plane whose programs are attached: what is held, and how each program is doing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from undermesh.kernel import fastpath, pins, roles
from undermesh.kernel.adoption import Contents
from undermesh.kernel.links import Link
from undermesh.kernel.loading import Design
from undermesh.kernel.options import ProgramInfo
from undermesh.kernel.pins import Lock, Pins
from undermesh.kernel.programs import Program, ProgramSpec
from undermesh.kernel.switching import Switchboard
from undermesh.kernel.tables import Tables

_DETACHED = "somebody detached it, or its cgroup is gone: run `undermesh down`, then `up`"


@dataclass(slots=True, kw_only=True)
class Running:
    """Owns the hold on the instance, pins, maps, programs and links."""

    lock: Lock
    pinned: Pins
    design: Design
    tables: Tables
    board: Switchboard
    adopted: bool
    retired: Mapping[str, Contents]
    target: Path

    @property
    def links(self) -> Mapping[str, Link]:
        """Links by program."""
        return self.board.links

    @property
    def programs(self) -> Mapping[str, Program]:
        """Loaded programs by name."""
        return self.board.programs

    def program_info(self) -> tuple[ProgramInfo, ...]:
        """Every program of the objects, in their order."""
        return tuple(self._info(spec) for spec in self.design.programs.values())

    def turn_fastpath(self, *, on: bool) -> str:
        """See Plane.turn_fastpath."""
        switch = self.tables.map(fastpath.SWITCH)
        if on:
            why = self.board.attach_together(roles.ON_DEMAND, cgroup=self.target)
            if not why:
                wanted = self.programs.keys() - self.links.keys()
                self.board.attach(name for name in roles.REPORTING if name in wanted)
            fastpath.turn(switch, off=bool(why))
            return why
        self.board.detach(roles.ON_DEMAND[1:])
        link = self.links.get(fastpath.QUEUES)
        if link is not None:
            joined = self.tables.map(fastpath.JOINED)
            fastpath.drain(switch=switch, joined=joined, link_fd=link.fd)
        self.board.detach((*roles.ON_DEMAND, *roles.REPORTING))
        return ""

    def forget_retired(self) -> None:
        """Unpins what was replaced, and other layout versions altogether."""
        for _, path in self.pinned.retired():
            path.unlink(missing_ok=True)
        for version in pins.versions(self.lock.root):
            if version != roles.LAYOUT_VERSION:
                pins.remove_tree(self.lock.root / f"v{version}")

    def close(self) -> None:
        """Gives every descriptor back and lets go of the instance; what is pinned goes on."""
        self.board.close()
        self.tables.close()
        self.pinned.close()
        self.lock.release()

    def _info(self, spec: ProgramSpec) -> ProgramInfo:
        program = self.programs.get(spec.name)
        if program is None or spec.name in self.board.missing:
            return ProgramInfo(
                name=spec.name,
                hook=spec.section,
                attached=False,
                why=self.board.missing.get(spec.name, "not loaded"),
                verified_insns=0,
                run_cnt=0,
                run_time_ns=0,
                tag="",
            )
        facts = program.facts()
        why = self._why_not(spec, facts.id)
        return ProgramInfo(
            name=spec.name,
            hook=spec.section,
            attached=not why,
            why=why,
            verified_insns=facts.verified_insns,
            run_cnt=facts.run_cnt,
            run_time_ns=facts.run_time_ns,
            tag=facts.tag,
        )

    def _why_not(self, spec: ProgramSpec, program_id: int) -> str:
        """Empty when its link is alive and runs this very program, or it needs none."""
        link = self.links.get(spec.name)
        if link is None:  # an iterator that is run when needed, or what no service asks for
            return ""
        found = link.facts()
        dead = spec.cgroup and not found.cgroup_id
        return _DETACHED if dead or found.program_id != program_id else ""
