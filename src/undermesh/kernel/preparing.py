# SPDX-License-Identifier: Apache-2.0
"""From options to an attached data plane, in the order that loses nothing.

hold the instance → open the objects → take over or create maps → load → (the caller seeds)
→ pin new maps, moving replaced ones aside → process, conn → backfill → tap, drops
→ wait until no replaced program runs → flush and read what was replaced
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from undermesh.kernel import (
    adoption,
    bpffs,
    libbpf,
    loading,
    pins,
    roles,
    sweeps,
    switching,
    unchanged,
)
from undermesh.kernel.adoption import Contents
from undermesh.kernel.loading import Design
from undermesh.kernel.options import Options
from undermesh.kernel.pins import Lock, Pins
from undermesh.kernel.programs import Program
from undermesh.kernel.running import Running
from undermesh.kernel.switching import Switchboard
from undermesh.kernel.tables import Tables


def prepare_maps_and_programs(options: Options) -> "Prepared":
    """Everything up to the first attach. Raises errors.KernelError, holding nothing then."""
    libbpf.use(options.libbpf)
    bpffs.mount(options.bpffs)
    with contextlib.ExitStack() as undo:
        lock = Lock(bpffs=options.bpffs, instance=options.instance)
        undo.callback(lock.release)
        undo.callback(pins.tidy, lock.root)
        design = loading.design(options)
        pinned = Pins(root=lock.root, version=roles.LAYOUT_VERSION)
        undo.callback(pinned.close)
        with adoption.kept(pinned, design.maps) as kept:
            running = unchanged.running(pinned, design, options, kept)
            maps, programs = loading.load(design, options=options, kept=kept, running=running)
        tables = Tables(maps=maps, types=[o.btf for o in design.objects])
        undo.callback(tables.close)
        for program in programs.values():
            undo.callback(program.close)
        adoption.carry_over(pinned, tables, (set(pinned.maps()) & maps.keys()) - kept.keys())
        tables.seed_numbers()
        undo.pop_all()
        return Prepared(
            options=options,
            lock=lock,
            pinned=pinned,
            design=design,
            tables=tables,
            programs=programs,
            kept=frozenset(kept),
        )


@dataclass(slots=True, kw_only=True)
class Prepared:
    """Maps and programs in the kernel, held by this process alone."""

    options: Options
    lock: Lock
    pinned: Pins
    design: Design
    tables: Tables
    programs: Mapping[str, Program]
    kept: frozenset[str]

    @property
    def adopting(self) -> bool:
        """Whether required programs of an earlier agent are pinned."""
        return set(self.pinned.links()) >= roles.REQUIRED

    def attach(self) -> Running:
        """Puts the programs onto their hooks. See PreparedPlane.attach."""
        adopting = self.adopting
        fresh = not adopting or roles.SOCKETS_MAP not in self.kept
        cgroup_fd = switching.open_cgroup(self.options.target)
        board = Switchboard(
            pinned=self.pinned,
            tables=self.tables,
            programs=self.programs,
            cgroup_fd=cgroup_fd,
            missing=self.design.missing,
        )
        try:
            adoption.stop_joining(self.pinned, self.kept)
            adoption.replace_pins(self.pinned, self.tables, self.kept)
            board.attach(self._of(roles.FIRST))
            if fresh:
                sweeps.backfill(self.programs.get(roles.BACKFILL), self.tables)
            board.attach(self._of(roles.THEN))
            retired = self._settle(board)
            unchanged.record(self.pinned, self.design, self.options, board.programs)
        except BaseException:
            board.close()
            if not adopting:
                pins.remove_root(self.lock.root)
            raise
        finally:
            libbpf.close(cgroup_fd)
        return Running(
            lock=self.lock,
            pinned=self.pinned,
            design=self.design,
            tables=self.tables,
            board=board,
            adopted=adopting,
            retired=retired,
            target=self.options.target,
        )

    def close(self) -> None:
        """Closes every descriptor and lets go of the instance."""
        for program in self.programs.values():
            program.close()
        self.tables.close()
        self.pinned.close()
        pins.tidy(self.lock.root)
        self.lock.release()

    def _of(self, objects: tuple[str, ...]) -> list[str]:
        """Programs of these objects, in order, that are loaded."""
        found = [name for o in self.design.objects if o.name in objects for name in o.programs]
        return [name for name in found if name in self.programs]

    def _settle(self, board: Switchboard) -> dict[str, Contents]:
        """After the last switch: what earlier programs counted, once none of them runs any more."""
        adoption.retire_unknown(self.pinned, self.tables)
        others = [
            Pins(root=self.lock.root, version=version)
            for version in pins.versions(self.lock.root)
            if version != roles.LAYOUT_VERSION
        ]
        for other in others:
            for name in set(other.links()) - roles.SWEEPS.keys():
                other.unpin_link(name)
        retired = [*self.pinned.retired(), *(entry for o in others for entry in o.everything())]
        if retired:
            adoption.grace()
            for source in (self.pinned, *others):
                sweeps.flush_pinned(source)
        board.attach(name for name in roles.SWEEPS if name in self.programs)
        if set(roles.ON_DEMAND) <= set(self.pinned.links()):
            board.attach_together(roles.ON_DEMAND, cgroup=self.options.target)
            board.attach(name for name in roles.REPORTING if name in self.programs)
        board.drop_unknown()
        for other in others:
            for name in other.links():
                other.unpin_link(name)
            other.close()
        return adoption.read_retired(retired, self.tables)
