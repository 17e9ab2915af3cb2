# SPDX-License-Identifier: Apache-2.0
"""The data plane of one instance: undermesh's programs loaded, attached and pinned as one thing.

    prepared = plane.prepare(options)   maps exist, programs are verified, nothing runs them yet
    …seed what must be there first…
    running = prepared.attach()         and now they do

Where pins of an earlier agent are found, its maps are used on, programs that are equal are left
alone, and changed ones are replaced on their hooks; counts in maps that had to be replaced are in
`Plane.retired`. Closing a plane closes descriptors only: pinned, it goes on until `remove`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Self

import numpy as np

from undermesh.kernel import errors, fastpath, ring, roles, sweeps, vmlinux
from undermesh.kernel.adoption import Contents
from undermesh.kernel.maps import Exist, Map, MapInfo
from undermesh.kernel.options import Options, ProgramInfo
from undermesh.kernel.pins import Removed, remove
from undermesh.kernel.preparing import Prepared, prepare_maps_and_programs
from undermesh.kernel.running import Running
from undermesh.kernel.tables import Tables

__all__ = [
    "Contents",
    "Options",
    "Plane",
    "PreparedPlane",
    "ProgramInfo",
    "Removed",
    "prepare",
    "remove",
]


def prepare(options: Options) -> "PreparedPlane":
    """Creates or takes over the maps and loads the programs; attaches nothing.

    Takes hold of the instance. Raises InstanceBusy, MountRefused, LibraryMissing, NotPermitted,
    BtfMissing, FeatureMissing, VerifierRejected and the rest of errors.KernelError.
    """
    return PreparedPlane(prepare_maps_and_programs(options))


class PreparedPlane:
    """Maps and verified programs. Seed the maps through `tables`, then `attach`."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared

    @property
    def tables(self) -> Tables:
        """The maps the programs will use, with what an earlier agent left in them."""
        return self._prepared.tables

    @property
    def adopting(self) -> bool:
        """Whether an earlier agent's programs are running."""
        return self._prepared.adopting

    def attach(self) -> "Plane":
        """Attaches the programs, in order, and backfills sockets that are older than they are.

        Raises NotPermitted, HookTaken, CallRefused; what was attached is then detached again,
        unless an earlier agent had attached it.
        """
        return Plane(self._prepared.attach())

    def close(self) -> None:
        """Gives up: closes every descriptor and the hold on the instance."""
        self._prepared.close()


class Plane:
    """A running data plane. Methods are not safe to call from several threads at once."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._tables = running.tables
        self._rings: dict[str, ring.Ring] = {}
        self.adopted = running.adopted
        """Whether an earlier agent's programs were running."""
        self.retired: Mapping[str, Contents] = running.retired
        """(keys, values) by name of what replaced maps held, as this version's structs; add them to
        what was counted, then call `forget_retired`."""

    @classmethod
    def start(cls, *, options: Options, seed: Callable[[Tables], object] | None = None) -> Self:
        """Prepares, calls `seed` with the maps, and attaches."""
        prepared = prepare_maps_and_programs(options)
        try:
            if seed is not None:
                seed(prepared.tables)
            return cls(prepared.attach())
        except BaseException:
            prepared.close()
            raise

    @property
    def maps(self) -> Mapping[str, Map]:
        """The maps by name."""
        return self._tables.maps

    def dtype(self, struct: str) -> np.dtype:
        """The dtype of a C struct, "um_series". Raises NotInObject."""
        return self._tables.dtype(struct)

    def enum(self, name: str) -> Mapping[str, int]:
        """The values of a C enum, "um_failure". Raises NotInObject."""
        return self._tables.enum(name)

    def drop_reasons(self) -> Mapping[int, str]:
        """Why packets die, by number, on the running kernel: "NETFILTER_DROP"."""
        return vmlinux.drop_reasons()

    def dump(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """All (keys, values) of a map; values of per-CPU maps are (n, CPUs)."""
        return self._tables.dump(name)

    def walk(self, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same in chunks of a few MB."""
        return self._tables.walk(name)

    def delete(self, name: str, keys: np.ndarray) -> int:
        """Removes entries, returns how many there were."""
        return self._tables.delete(name, keys)

    def insert(self, name: str, keys: object, values: object, *, exist: Exist) -> int:
        """Writes entries, returns how many; "new" leaves existing ones alone. Raises MapFull."""
        return self._tables.insert(name, keys, values, exist=exist)

    def stats(self) -> dict[str, int]:
        """What the data path could not do, by counter, summed over CPUs."""
        return self._tables.stats()

    def drain(self, name: str, *, limit: int = 65536) -> np.ndarray:
        """Up to `limit` records of a ring, oldest first, as a structured array."""
        reader = self._rings.get(name)
        if reader is None:
            reader = self._rings[name] = self._open_ring(name)
        return reader.drain(limit=limit)

    def unknown_records(self) -> Mapping[str, int]:
        """Records of unexpected size stepped over since the start, by ring."""
        return {name: reader.unknown for name, reader in self._rings.items()}

    def sweep_sockets(self) -> np.ndarray:
        """`um_flow` records of live TCP connections; their counters reach their edges."""
        return sweeps.sweep("sweep_sockets", links=self._running.links, tables=self._tables)

    def sweep_udp(self) -> np.ndarray:
        """The same for UDP conversations; idle ones end."""
        return sweeps.sweep("sweep_udp", links=self._running.links, tables=self._tables)

    def backfill(self) -> None:
        """Gives owners to sockets that have none, by every open file on the host."""
        sweeps.backfill(self._running.programs.get(roles.BACKFILL), self._tables)

    def remark(self) -> bool:
        """Gives the open TCP sockets of the caller's network namespace what the priorities say;
        False where this kernel cannot change them."""
        return sweeps.remark(self._running.programs.get(roles.REMARK))

    def turn_fastpath(self, *, on: bool) -> str:
        """Attaches the fast path, which then joins connections of services that ask for it, or
        takes it off: what is joined goes on by TCP, and nothing queued is lost.

        Why it cannot be had here; empty when it is as wished. Raises CallRefused.
        """
        return self._running.turn_fastpath(on=on)

    def joined_ends(self) -> np.ndarray:
        """`um_joined_end` records of sockets on the fast path; empty when there can be none."""
        link = self._running.links.get(fastpath.QUEUES)
        return np.empty(0, fastpath.END) if link is None else fastpath.ends(link.fd)

    def program_info(self) -> tuple[ProgramInfo, ...]:
        """Every program, those that could not be loaded or attached with the reason."""
        return self._running.program_info()

    def map_info(self) -> tuple[MapInfo, ...]:
        """Every map with its fill and memory. Counting entries reads the maps once."""
        return tuple(owned.info() for _, owned in sorted(self._tables.maps.items()))

    def forget_retired(self) -> None:
        """Drops what `retired` was read from; until then, the next start reads it again."""
        self._running.forget_retired()
        self.retired = {}

    def close(self) -> None:
        """Closes every descriptor and lets go of the instance; the data path goes on counting."""
        for reader in self._rings.values():
            reader.close()
        self._rings.clear()
        self._running.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_ring(self, name: str) -> ring.Ring:
        struct = roles.RECORDS.get(name)
        if struct is None:
            raise errors.NotInObject(f"reading ring {name}", answer="there is no such ring")
        owned = self._tables.map(name)
        return ring.open_ring(
            fd=owned.fd,
            name=name,
            size=owned.spec.max_entries,
            record=self._tables.dtype(struct),
        )
