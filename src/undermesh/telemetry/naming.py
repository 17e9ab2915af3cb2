# SPDX-License-Identifier: Apache-2.0
"""Kernel keys → named rows: which row each counter of the kernel belongs to.

Rules, in the order they are applied:

* The server's end of a UDP or DNS conversation whose client's end is measured on this host tells
  the same packets a second time: role SERVER with client HOST is left out where an entry of role
  CLIENT has the same server and port. Over TCP the kernel pairs both ends itself.
* An entry of role SHADOW (the server's end of a connection measured at its client) brings its
  retransmits and resets to the row of that connection, and nothing else.
* What has shown no protocol (failed attempts, connections without payload, SHADOW entries older
  than the recognition) joins the row of the same ends and port whose protocol is known; where
  there are several, the one with most connections. Where there is none, it is `tcp`.
* Ends are never guessed: an attempt that failed names the address it was made to, and stays a row
  of its own beside the rows of the workload that may have been meant.
"""

from collections import ChainMap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol as Interface
from typing import cast

import numpy as np
from numpy.typing import NDArray

from undermesh.model.edge import EdgeKey, End
from undermesh.model.protocol import Protocol
from undermesh.telemetry.growth import EDGES, Growth, Matrix, Rows, Structured
from undermesh.telemetry.histogram import Sparse
from undermesh.telemetry.vocabulary import Vocabulary

Triple = tuple[End, End, int]
"""Client, server, port."""

LEFT_OUT = -1


class Ends(Interface):
    """Who has a number."""

    def end(self, number: int) -> End: ...
    def server(self, client: int, number: int) -> End: ...


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """A row's requests of one method and one status (or rcode)."""

    edge: EdgeKey
    method: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedEdges:
    """Connection counters by row: `sums` has shape (keys, EDGES.width)."""

    keys: tuple[EdgeKey, ...]
    sums: Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSeries:
    """Request counters by row, method and status; cells of `bins` name their key."""

    keys: tuple[SeriesKey, ...]
    sums: Matrix
    bins: Sparse


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSlots:
    """Kernel entries by row: entry i belongs to keys[rows[i]] (LEFT_OUT: to none) and brings it
    sums[i]."""

    keys: tuple[EdgeKey, ...]
    rows: Rows
    sums: Matrix

    def named(self) -> NamedEdges:
        """The entries added up."""
        return NamedEdges(keys=self.keys, sums=_add(self.sums, self.rows, len(self.keys)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSlots:
    """Kernel entries by row, method and status, as in EdgeSlots."""

    keys: tuple[SeriesKey, ...]
    rows: Rows
    growth: Growth

    def named(self) -> NamedSeries:
        """The entries added up."""
        return NamedSeries(
            keys=self.keys,
            sums=_add(self.growth.sums, self.rows, len(self.keys)),
            bins=self.growth.bins.regroup(self.rows).summed(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is known of the whole while a part of it is named.

    `protocols` has the protocol each pair of ends speaks on a port; `measured` the (server, port)
    of UDP and DNS whose client's end is measured here.
    """

    protocols: Mapping[Triple, Protocol] = field(default_factory=dict)
    measured: frozenset[tuple[int, int]] = frozenset()


class Naming:
    """Names growths; holds no counters."""

    def __init__(self, *, vocabulary: Vocabulary, ends: Ends) -> None:
        self._words = vocabulary
        self._ends = ends
        self._datagrams = (
            vocabulary.number_of(Protocol.UDP),
            vocabulary.number_of(Protocol.DNS),
        )

    def context(self, edges: Growth | None, kept: Mapping[Triple, Protocol]) -> Context:
        """Learns from all connection counters there are; `kept` is what rows of the gone speak."""
        best: dict[Triple, tuple[int, Protocol]] = {}
        measured: set[tuple[int, int]] = set()
        if edges is not None:
            unique, inverse = _unique(edges.keys)
            opened = _add(edges.sums[:, [EDGES.at("opened")]], inverse, len(unique)).ravel()
            for ends, count in zip(_fields(unique), opened.tolist(), strict=True):
                client, server, port, role, l7 = ends
                if role == self._words.client and l7 in self._datagrams:
                    measured.add((server, port))
                protocol = self._words.protocols.get(l7)
                if protocol is not None and role != self._words.shadow:
                    _prefer(best, self._triple(client, server, port), count, protocol)
        spoken: dict[Triple, Protocol] = {
            triple: protocol
            for triple, (_, protocol) in best.items()
            if protocol is not Protocol.TCP
        }
        return Context(
            protocols=ChainMap(spoken, cast(dict[Triple, Protocol], kept)),
            measured=frozenset(measured),
        )

    def edges(self, growth: Growth, context: Context) -> EdgeSlots:
        """Connection counters by row."""
        keys, rows = self._rows(growth.keys, context)
        sums = growth.sums.copy()
        shadow = growth.keys["role"] == self._words.shadow
        dropped = np.ones(EDGES.width, bool)
        dropped[[EDGES.at("retransmits"), EDGES.at("resets")]] = False
        sums[np.ix_(shadow, dropped)] = 0
        return EdgeSlots(keys=keys, rows=rows, sums=sums)

    def series(self, growth: Growth, context: Context) -> SeriesSlots:
        """Request counters by row, method and status."""
        keys, row_of = self._rows(growth.keys, context)
        methods, statuses = growth.keys["method"].tolist(), growth.keys["status"].tolist()
        index: dict[SeriesKey, int] = {}
        rows = np.full(len(growth), LEFT_OUT, np.int64)
        for position, row in enumerate(row_of.tolist()):
            if row != LEFT_OUT:
                method = self._words.methods.get(methods[position], "")
                key = SeriesKey(keys[row], method, statuses[position])
                rows[position] = index.setdefault(key, len(index))
        return SeriesSlots(keys=tuple(index), rows=rows, growth=growth)

    def _rows(self, keys: Structured, context: Context) -> tuple[tuple[EdgeKey, ...], Rows]:
        """The rows that `keys` belong to, and for each key which one (LEFT_OUT: none)."""
        unique, inverse = _unique(keys)
        index: dict[EdgeKey, int] = {}
        groups = np.full(len(unique), LEFT_OUT, np.int64)
        for position, ends in enumerate(_fields(unique)):
            client, server, port, role, l7 = ends
            if self._told_twice(client, server, port, role, l7, context):
                continue
            triple = self._triple(client, server, port)
            protocol = self._words.protocols.get(l7)
            if protocol is None or (role == self._words.shadow and protocol is Protocol.TCP):
                protocol = context.protocols.get(triple, Protocol.TCP)
            groups[position] = index.setdefault(EdgeKey(*triple, protocol), len(index))
        return tuple(index), groups[inverse]

    def _told_twice(
        self, client: int, server: int, port: int, role: int, l7: int, context: Context
    ) -> bool:
        return (
            role == self._words.server
            and client == self._words.host
            and l7 in self._datagrams
            and (server, port) in context.measured
        )

    def _triple(self, client: int, server: int, port: int) -> Triple:
        return self._ends.end(client), self._ends.server(client, server), port


def _prefer(
    best: dict[Triple, tuple[int, Protocol]], triple: Triple, count: int, protocol: Protocol
) -> None:
    """Keeps the protocol with most connections; any protocol is better than bare TCP."""
    held = best.get(triple)
    weight = count if protocol is not Protocol.TCP else -1
    if held is None or weight > held[0]:
        best[triple] = (weight, protocol)


def _fields(keys: Structured) -> Iterable[tuple[int, int, int, int, int]]:
    return zip(
        keys["client"].tolist(),
        keys["server"].tolist(),
        keys["port"].tolist(),
        keys["role"].tolist(),
        keys["l7"].tolist(),
        strict=True,
    )


def _unique(keys: Structured) -> tuple[Structured, Rows]:
    """Keys that differ in more than shard, method and status; and which of them each key is."""
    ends = keys["client"].astype(np.uint64) << np.uint64(32) | keys["server"].astype(np.uint64)
    rest = (
        keys["port"].astype(np.uint64) << np.uint64(16)
        | keys["role"].astype(np.uint64) << np.uint64(8)
        | keys["l7"].astype(np.uint64)
    )
    order = np.lexsort((rest, ends))
    first = np.ones(len(keys), bool)
    first[1:] = (np.diff(ends[order]) != 0) | (np.diff(rest[order]) != 0)
    inverse = np.empty(len(keys), np.int64)
    inverse[order] = np.cumsum(first) - 1
    return keys[order[first]], inverse


def _add(sums: Matrix, groups: Rows, count: int) -> NDArray[np.int64]:
    """Rows of `sums` added up by group."""
    result = np.zeros((count, sums.shape[1]), np.int64)
    kept = groups != LEFT_OUT
    np.add.at(result, groups[kept], sums[kept])
    return result
