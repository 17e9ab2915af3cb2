# SPDX-License-Identifier: Apache-2.0
"""Follows workloads as they start, are renamed and go."""

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from undermesh.app.limits import SECOND_NS, Limits
from undermesh.app.ports import CgroupTable, Ports, Structured
from undermesh.model.workload import IdentityId, Workload
from undermesh.telemetry.growth import as_bytes
from undermesh.telemetry.leaving import Leaving

_RECONCILE_NS = 60 * SECOND_NS
_SPENT_AFTER_NS = 2 * SECOND_NS


class Census:
    """Keeps the book of workloads in step with the kernel's owners and cgroups.

    By level: each round compares what the kernel holds with what it held. Once a minute the cgroups
    there are on the host are compared too, so that an event nobody saw is late, never wrong.
    """

    def __init__(self, *, ports: Ports, leaving: Leaving, limits: Limits) -> None:
        plane = ports.plane
        self._plane = plane
        self._room = ports.sizes["um_cgroups"]
        self._book = ports.book
        self._host = ports.host
        self._identities = ports.identities
        self._leaving = leaving
        self._kept = limits.gone_ends
        self._unused: OrderedDict[IdentityId, None] = OrderedDict()
        self.departed: deque[Workload] = deque(maxlen=limits.gone_ends)
        """Those that are gone and folded, to be shown for a while; the last to go at the end."""
        self._cgroups = np.zeros(0, np.uint64)
        self._gone = np.zeros(1, np.uint64)
        """gone_ns of each, and behind them a zero for those that were not there."""
        self._keys: Structured = np.zeros(0, plane.dtype("um_owner_key"))
        self._values: Structured = np.zeros(0, plane.dtype("um_owner"))
        self._reconciled_ns = 0

    def follow(self, *, now_ns: int) -> None:
        """One round. Costs two small map dumps where nothing changed."""
        self._read_cgroups()
        self._read_owners()
        self._host.refresh()
        wanting = self._book.take_wanting()
        if wanting:
            self._complete(wanting, now_ns)
        self._identify()
        self._drop_spent(now_ns)
        if now_ns - self._reconciled_ns >= _RECONCILE_NS:
            self.reconcile(now_ns=now_ns)

    def reconcile(self, *, now_ns: int) -> None:
        """Writes the host's cgroups into the kernel's table, and marks those that went unseen."""
        self._reconciled_ns = now_ns
        there = self._host.cgroups()
        keys, values = self._plane.dump("um_cgroups")
        ids = as_numbers(keys)
        missed = there.keys() - set(ids.tolist())
        if missed:
            unseen = {ident: there[ident] for ident in missed}
            seed_cgroups(self._plane, unseen, room=self._room - len(ids))
        listed = np.fromiter(there, np.uint64, len(there))
        lost = ~np.isin(ids, listed) & (values["gone_ns"] == 0)
        # One that was made after the scan is not in it; it is younger than the scan is old.
        lost &= values["born_ns"].astype(np.int64) < now_ns - SECOND_NS
        if lost.any() and there:
            changed = values[lost]
            changed["gone_ns"] = now_ns
            self._plane.insert("um_cgroups", keys[lost], changed, exist="any")

    @property
    def numbers(self) -> NDArray[np.uint32]:
        """Every number an owner has in the kernel."""
        return np.asarray(self._values["number"], np.uint32)

    def inhabitants(self) -> list[tuple[Workload, int]]:
        """The workloads that are there, each with the cookie of the network namespace its first
        socket was made in."""
        places = zip(self._values["number"].tolist(), self._values["netns"].tolist(), strict=True)
        found = ((self._book.get(number), netns) for number, netns in places)
        return [(one, netns) for one, netns in found if one is not None and one.gone_ns is None]

    def remove(self, numbers: Iterable[int]) -> None:
        """Deletes the owners whose counters were folded, and forgets them."""
        wanted = np.isin(self._values["number"], np.fromiter(numbers, np.uint32))
        self._plane.delete("um_owners", self._keys[wanted])
        gone = self._values["number"][wanted].tolist()
        self._keys, self._values = self._keys[~wanted], self._values[~wanted]
        for number in gone:
            workload = self._book.get(number)
            if workload is not None and workload.gone_ns is not None:
                self.departed.append(workload)
            if workload is not None and workload.identity:
                self._unused[workload.identity] = None
                self._unused.move_to_end(workload.identity)
        self._book.forget(gone)
        self._release()

    def _release(self) -> None:
        """Gives identities back that nobody has had for long: the oldest of those unused, beyond
        as many as gone workloads are kept by name."""
        if len(self._unused) <= self._kept * 1.1:
            return
        used = {workload.identity for workload in self._book.all()}
        released: list[IdentityId] = []
        while len(self._unused) > self._kept:
            identity, _ = self._unused.popitem(last=False)
            if identity not in used:
                released.append(identity)
        self._identities.release(released)

    def _read_cgroups(self) -> None:
        keys, values = self._plane.dump("um_cgroups")
        ids, gone = as_numbers(keys), values["gone_ns"]
        place = positions_of(ids, self._cgroups)
        fresh = np.flatnonzero((place < 0) | (gone != self._gone[place]))
        self._cgroups, self._gone = ids.copy(), np.append(gone, np.uint64(0))
        changed = values[fresh]
        self._book.cgroups(
            zip(
                ids[fresh].tolist(),
                changed["path"].tolist(),
                changed["born_ns"].tolist(),
                changed["gone_ns"].tolist(),
                strict=True,
            )
        )

    def _read_owners(self) -> None:
        keys, values = self._plane.dump("um_owners")
        if not len(keys) or not np.array_equal(as_bytes(keys), as_bytes(self._keys)):
            fresh = ~np.isin(values["number"], self._values["number"])
            # Number 0: made this moment, not numbered yet.
            fresh &= values["number"] != 0
            self._book.owners(
                zip(
                    values["number"][fresh].tolist(),
                    keys["cgroup_id"][fresh].tolist(),
                    keys["exe"][fresh].tolist(),
                    values["first_ns"][fresh].tolist(),
                    strict=True,
                )
            )
        numbered = values["number"] != 0
        self._keys, self._values = keys[numbered], values[numbered]

    def _identify(self) -> None:
        """Numbers the label sets of workloads that are new or changed, and watches who is gone."""
        now_gone: list[int] = []
        identities: dict[int, int] = {}
        changed = self._book.take_changed()
        for workload in changed:
            identity = self._identities.of(workload)
            identities[int(workload.number)] = int(identity)
            self._book.identify(int(workload.number), identity)
            if workload.gone_ns is not None:
                now_gone.append(int(workload.number))
        if now_gone:
            gone_ns = max(workload.gone_ns or 0 for workload in changed)
            self._leaving.watch(now_gone, now_ns=gone_ns)
        if identities:
            self._write_identities(identities)

    def _write_identities(self, identities: Mapping[int, int]) -> None:
        known = np.fromiter(identities, np.uint32, len(identities))
        rows = np.flatnonzero(np.isin(self._values["number"], known))
        values = self._values[rows]
        wanted = [identities[number] for number in values["number"].tolist()]
        stale = values["identity"] != wanted
        if stale.any():
            values["identity"] = wanted
            self._values[rows] = values
            self._plane.insert("um_owners", self._keys[rows[stale]], values[stale], exist="any")

    def _complete(self, wanting: Iterable[int], now_ns: int) -> None:
        """Looks up cgroups whose path the kernel does not know, or had no room for."""
        there = self._host.cgroups()
        self._book.cgroups(
            (ident, there.get(ident, ""), 0, 0 if ident in there else now_ns) for ident in wanting
        )

    def _drop_spent(self, now_ns: int) -> None:
        """Cgroups that are gone, and of which no owner is left, leave the kernel's table."""
        spent = self._book.spent(now_ns - _SPENT_AFTER_NS)
        if spent:
            self._plane.delete("um_cgroups", np.array(spent, np.uint64))
            self._book.forget_cgroups(spent)


def seed_cgroups(table: CgroupTable, paths: Mapping[int, str], *, room: int) -> int:
    """Cgroups the kernel has not seen being made, `room` of them at most; answers how many there
    was no room for. Paths the kernel has no room for are cut.

    One that is left out is looked up on the host once it owns a socket.
    """
    chosen = dict(itertools.islice(paths.items(), max(0, room)))
    values = np.zeros(len(chosen), table.dtype("um_cgroup"))
    limit = values.dtype["path"].itemsize - 1
    values["path"] = [path.encode(errors="surrogateescape")[:limit] for path in chosen.values()]
    table.insert("um_cgroups", np.fromiter(chosen, np.uint64, len(chosen)), values, exist="new")
    return len(paths) - len(chosen)


def as_numbers(keys: Structured) -> NDArray[np.uint64]:
    """Keys that are one u64, as such."""
    return np.asarray(keys.view(np.uint64)).reshape(-1)


def positions_of(numbers: NDArray[np.uint64], among: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each of `numbers` where it stands in `among`, -1 where it does not."""
    if not len(among):
        return np.full(len(numbers), -1, np.int64)
    order = np.argsort(among)
    place = np.minimum(np.searchsorted(among, numbers, sorter=order), len(among) - 1)
    return np.where(among[order[place]] == numbers, order[place], -1).astype(np.int64)
