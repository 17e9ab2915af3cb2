# SPDX-License-Identifier: Apache-2.0
"""Reads the data plane round by round, and keeps what it said within bounds."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from undermesh.app.feed import Feed
from undermesh.app.limits import SECOND_NS, Limits
from undermesh.app.ports import DataPlane
from undermesh.model.edge import EndKind
from undermesh.telemetry.flows import text
from undermesh.telemetry.growth import EDGES, SERIES, Growth, Structured, positions
from undermesh.telemetry.leaving import Pressure
from undermesh.telemetry.meter import Meter
from undermesh.telemetry.names import Names
from undermesh.telemetry.naming import Triple
from undermesh.telemetry.records import Records
from undermesh.telemetry.vocabulary import Vocabulary
from undermesh.telemetry.window import Slice, Window

RINGS = ("um_answers", "um_flows", "um_samples", "um_processes")
"""In the order they are read: names first."""
TLS_NAMES_PER_ROW = 16
TLS_ROWS = 4096


class Recorder:
    """What the kernel has told so far: counters, their growth, flows, samples, names."""

    def __init__(
        self, *, plane: DataPlane, vocabulary: Vocabulary, names: Names, limits: Limits
    ) -> None:
        self.series = Meter(layout=SERIES)
        self.edges = Meter(layout=EDGES)
        self.window = Window(length_ns=limits.window_ns, cells=limits.window_cells)
        self.flows = Records(dtype=plane.dtype("um_flow"), limit=limits.flows)
        self.samples = Records(dtype=plane.dtype("um_sample"), limit=limits.samples)
        self.live: Structured = np.zeros(0, plane.dtype("um_flow"))
        self.new_flows = Feed(batches=limits.follower)
        self.new_samples = Feed(batches=limits.follower)
        self.read = dict.fromkeys(RINGS, 0)
        self.events: dict[int, int] = {}
        self.swept_ns = 0
        self._plane = plane
        self._words = vocabulary
        self._names = names
        self._peers: Structured = np.zeros(0, plane.dtype("um_peer_key"))
        self._peer_numbers: Structured = np.zeros(0, plane.dtype("um_peer"))
        self._no_series = _nothing(plane, "um_series_key", "um_series")
        self._no_edges = _nothing(plane, "um_edge_key", "um_edge")
        self._tls: dict[tuple[int, int, int], set[bytes]] = {}

    def drain(self) -> bool:
        """Empties the rings. Answers whether a follower was handed something."""
        flows, samples = self.flows.taken, self.samples.taken
        for ring in RINGS:
            self._keep(ring, self._plane.drain(ring))
        told_flows = self.flows.taken > flows and len(self.new_flows) > 0
        told_samples = self.samples.taken > samples and len(self.new_samples) > 0
        return told_flows or told_samples

    def absorb(self, retired: Mapping[str, tuple[Structured, Structured]]) -> None:
        """Takes what was unread in rings that an upgrade replaced."""
        for ring in RINGS:
            if ring in retired:
                self._keep(ring, retired[ring][1])

    def sweep(self, *, now_ns: int) -> Slice | None:
        """Flushes live connections to their edges, reads all counters, keeps their growth.

        None for the first sweep, which is only the base of the next.
        """
        self.live = np.concatenate([self._plane.sweep_sockets(), self._plane.sweep_udp()])
        self._note_tls(self.live[self.live["opened_ns"] + 2 * SECOND_NS > self.swept_ns])
        self._read_peers()
        first = not self.swept_ns
        piece = Slice(
            start_ns=self.swept_ns,
            end_ns=now_ns,
            series=self.series.observe(self._plane.walk("um_series"), self._no_series),
            edges=self.edges.observe(self._plane.walk("um_edges"), self._no_edges),
        )
        if len(self.new_flows):
            self.new_flows.publish(self.live[self.live["opened_ns"] > self.swept_ns])
        self.swept_ns = now_ns
        if first:
            return None
        self._bind(piece.edges.keys)
        self.window.add(piece)
        return piece

    def series_totals(self) -> Growth | None:
        """All request counters as last read; None before the first sweep."""
        return None if self.series.reading is None else self.series.reading.growth()

    def edge_totals(self) -> Growth | None:
        """All connection counters as last read; None before the first sweep."""
        return None if self.edges.reading is None else self.edges.reading.growth()

    def tls_names(self) -> dict[Triple, tuple[str, ...]]:
        """Server names seen in TLS, by the ends and port of their row."""
        found: dict[Triple, set[str]] = {}
        for (client, server, port), names in self._tls.items():
            triple = (self._names.end(client), self._names.server(client, server), port)
            found.setdefault(triple, set()).update(text(name) for name in names)
        return {triple: tuple(sorted(names)[:TLS_NAMES_PER_ROW]) for triple, names in found.items()}

    def known_numbers(self, owners: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Every number that somebody has: owners, and external addresses as they are now."""
        self._read_peers()
        return np.concatenate([owners, self._peer_numbers["number"]])

    def idle_peers(
        self, *, now_ns: int, pressure: Pressure, max_entries: int, limit: int
    ) -> list[int]:
        """External numbers to give up because their map fills up: those nothing was counted for in
        a long time. None while there is room."""
        held = self._peer_numbers
        reading = self.edges.reading
        if len(held) <= max_entries * pressure.fill or reading is None:
            return []
        before = np.uint64(max(0, now_ns - pressure.idle_ns))
        busy = reading.keys["server"][reading.last_ns >= before]
        idle = (held["first_ns"] < before) & ~np.isin(held["number"], busy)
        return [int(number) for number in held["number"][idle][:limit]]

    def remove_peers(self, numbers: Sequence[int]) -> None:
        """Deletes external addresses whose counters were folded; met again, they are new."""
        wanted = np.isin(self._peer_numbers["number"], np.array(numbers, np.uint32))
        if wanted.any():
            self._plane.delete("um_peers", self._peers[wanted])
            self._names.peers_left(self._peer_numbers["number"][wanted].tolist())
            self._peers, self._peer_numbers = self._peers[~wanted], self._peer_numbers[~wanted]

    def forget(self, numbers: frozenset[int]) -> None:
        """These numbers left the kernel's maps."""
        for key in [key for key in self._tls if key[0] in numbers or key[1] in numbers]:
            del self._tls[key]

    def processes(self, kinds: Mapping[str, int]) -> dict[str, int]:
        """Process events read, by the constants of enum um_process_event_kind."""
        return {name: self.events.get(kind, 0) for name, kind in kinds.items()}

    def _keep(self, ring: str, records: Structured) -> None:
        self.read[ring] += len(records)
        if not len(records):
            return
        match ring:
            case "um_answers":
                self._names.bind_answers(self._names.answers.take(records))
            case "um_flows":
                self._note_tls(records)
                self.flows.add(records)
                self.new_flows.publish(records)
            case "um_samples":
                self.samples.add(records)
                self.new_samples.publish(records)
            case _:
                kinds, counts = np.unique(records["kind"], return_counts=True)
                for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
                    self.events[kind] = self.events.get(kind, 0) + count

    def _read_peers(self) -> None:
        """Learns the external addresses that are new, and forgets those that are gone."""
        keys, values = self._plane.dump("um_peers")
        fresh = np.flatnonzero(positions(keys, self._peers) < 0)
        left = np.flatnonzero(positions(self._peers, keys) < 0)
        self._names.peers_left(self._peer_numbers["number"][left].tolist())
        self._names.peers_met(
            dict(
                zip(
                    values["number"][fresh].tolist(),
                    map(bytes, keys["address"][fresh]),
                    strict=True,
                )
            )
        )
        self._peers, self._peer_numbers = keys, values

    def _bind(self, keys: Structured) -> None:
        """Names the external ends that were just counted for, while DNS remembers them."""
        external = keys[np.isin(keys["server"], self._peer_numbers["number"])]
        self._names.bind_pairs(
            set(zip(external["client"].tolist(), external["server"].tolist(), strict=True))
        )

    def _note_tls(self, flows: Structured) -> None:
        named = flows[flows["sni"] != b""]
        for client, server, port, name in set(
            zip(
                named["client"].tolist(),
                named["server"].tolist(),
                named["port"].tolist(),
                named["sni"].tolist(),
                strict=True,
            )
        ):
            if len(self._tls) >= TLS_ROWS:
                self._tls.pop(next(iter(self._tls)))
            names = self._tls.setdefault((client, server, port), set())
            if len(names) < TLS_NAMES_PER_ROW:
                names.add(name)
            if self._names.end(server).kind is EndKind.WORLD:
                self._names.bind_tls(client, server, text(name))


def _nothing(plane: DataPlane, key: str, value: str) -> tuple[Structured, Structured]:
    return np.zeros(0, plane.dtype(key)), np.zeros(0, plane.dtype(value))
