# SPDX-License-Identifier: Apache-2.0
"""Follows workloads as they start, are renamed and go."""

from collections.abc import Iterable, Mapping

import numpy as np

from undermesh.app.limits import SECOND_NS, Limits
from undermesh.app.ports import Book, CgroupTable, DataPlane, Host, Identities, Structured
from undermesh.telemetry.growth import as_bytes
from undermesh.telemetry.leaving import Leaving

_RECONCILE_NS = 60 * SECOND_NS
_SPENT_AFTER_NS = 2 * SECOND_NS


class Census:
    """Keeps the book of workloads in step with the kernel's owners and cgroups.

    By level: each round compares what the kernel holds with what it held. Once a minute the cgroups
    there are on the host are compared too, so that an event nobody saw is late, never wrong.
    """

    def __init__(
        self,
        *,
        plane: DataPlane,
        book: Book,
        host: Host,
        identities: Identities,
        leaving: Leaving,
        limits: Limits,
    ) -> None:
        self._plane = plane
        self._book = book
        self._host = host
        self._identities = identities
        self._leaving = leaving
        self._gone_for_ns = limits.gone_for_ns
        self._cgroups: tuple[bytes, bytes] = (b"", b"")
        self._keys: Structured = np.zeros(0, plane.dtype("um_owner_key"))
        self._values: Structured = np.zeros(0, plane.dtype("um_owner"))
        self._reconciled_ns = 0

    def follow(self, *, now_ns: int) -> None:
        """One round. Costs two small map dumps where nothing changed."""
        if now_ns - self._reconciled_ns >= _RECONCILE_NS:
            self.reconcile(now_ns=now_ns)
        self._read_cgroups()
        self._read_owners()
        self._host.refresh()
        wanting = self._book.take_wanting()
        if wanting:
            self._complete(wanting, now_ns)
        self._identify()
        self._drop_spent(now_ns)

    def reconcile(self, *, now_ns: int) -> None:
        """Writes the host's cgroups into the kernel's table, and marks those that went unseen."""
        self._reconciled_ns = now_ns
        there = self._host.cgroups()
        keys, values = self._plane.dump("um_cgroups")
        ids = as_numbers(keys)
        missed = there.keys() - set(ids.tolist())
        if missed:
            seed_cgroups(self._plane, {ident: there[ident] for ident in missed})
        listed = np.fromiter(there, np.uint64, len(there))
        lost = ~np.isin(ids, listed) & (values["gone_ns"] == 0)
        # One that was made after the scan is not in it; it is younger than the scan is old.
        lost &= values["born_ns"].astype(np.int64) < now_ns - SECOND_NS
        if lost.any() and there:
            changed = values[lost]
            changed["gone_ns"] = now_ns
            self._plane.insert("um_cgroups", keys[lost], changed, exist="any")

    @property
    def numbers(self) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
        """Every number an owner has in the kernel."""
        return np.asarray(self._values["number"], np.uint32)

    def remove(self, numbers: Iterable[int]) -> None:
        """Deletes the owners whose counters were folded, and forgets them."""
        wanted = np.isin(self._values["number"], np.fromiter(numbers, np.uint32))
        self._plane.delete("um_owners", self._keys[wanted])
        gone = self._values["number"][wanted].tolist()
        self._keys, self._values = self._keys[~wanted], self._values[~wanted]
        self._book.forget(gone)

    def _read_cgroups(self) -> None:
        keys, values = self._plane.dump("um_cgroups")
        seen = (keys.tobytes(), np.ascontiguousarray(values["gone_ns"]).tobytes())
        if seen == self._cgroups:
            return
        self._cgroups = seen
        self._book.cgroups(
            zip(
                as_numbers(keys).tolist(),
                values["path"].tolist(),
                values["born_ns"].tolist(),
                values["gone_ns"].tolist(),
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


def seed_cgroups(table: CgroupTable, paths: Mapping[int, str]) -> None:
    """Cgroups the kernel has not seen being made. Paths it has no room for are cut."""
    values = np.zeros(len(paths), table.dtype("um_cgroup"))
    limit = values.dtype["path"].itemsize - 1
    values["path"] = [path.encode(errors="surrogateescape")[:limit] for path in paths.values()]
    table.insert("um_cgroups", np.fromiter(paths, np.uint64, len(paths)), values, exist="new")


def as_numbers(keys: Structured) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Keys that are one u64, as such."""
    return np.asarray(keys.view(np.uint64)).reshape(-1)
