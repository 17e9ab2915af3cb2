# SPDX-License-Identifier: Apache-2.0
"""What is asked of the agent: edges, flows, samples, drops, workloads."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from undermesh.app.folding import Folder
from undermesh.app.limits import SECOND_NS, Limits
from undermesh.app.ports import Ports, Structured
from undermesh.app.recorder import Recorder
from undermesh.model.drop import Drop
from undermesh.model.edge import Edge, EdgeKey, End
from undermesh.model.flow import Flow, FlowState
from undermesh.model.protocol import Protocol
from undermesh.model.sample import Sample
from undermesh.model.workload import NodeId, Workload
from undermesh.telemetry.drops import DropReader
from undermesh.telemetry.flows import FlowFilter, FlowReader, matcher
from undermesh.telemetry.names import Names
from undermesh.telemetry.naming import Context, Naming
from undermesh.telemetry.samples import SampleFilter, SampleReader
from undermesh.telemetry.table import Frame, edge_rows, join_edges, open_now
from undermesh.telemetry.vocabulary import Vocabulary

DropRows = dict[tuple[str, End | None, str, int], Drop]
"""Drops as they stood, by what makes a row a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeFilter:
    """Which rows are asked for; None asks for all. `workload` is either end's name."""

    workload: str | None = None
    namespace: str | None = None
    protocol: Protocol | None = None
    port: int | None = None

    def matches(self, edge: Edge) -> bool:
        """Whether a row is one of them."""
        ends = (edge.key.client, edge.key.server)
        return (
            (self.workload is None or any(map(matcher(self.workload), ends)))
            and (self.namespace is None or self.namespace in [end.namespace for end in ends])
            and (self.protocol is None or self.protocol is edge.key.protocol)
            and (self.port is None or self.port == edge.key.port)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeView:
    """Rows, and the time they cover in ns since the epoch."""

    since_ns: int
    until_ns: int
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One instant on both clocks: CLOCK_MONOTONIC and since the epoch, in ns."""

    monotonic_ns: int
    epoch_ns: int

    def epoch_of(self, monotonic_ns: int) -> int:
        """When that was, since the epoch."""
        return self.epoch_ns - (self.monotonic_ns - monotonic_ns)


class Readers:
    """Turns the kernel's records into rows, with the names of one node."""

    def __init__(
        self, *, node: NodeId, vocabulary: Vocabulary, names: Names, reasons: Mapping[int, str]
    ) -> None:
        self.node = node
        self.vocabulary = vocabulary
        self.flows = FlowReader(vocabulary=vocabulary, names=names, node=node)
        self.samples = SampleReader(vocabulary=vocabulary, names=names, node=node)
        self.drops = DropReader(reasons=reasons, names=names, node=node)


class Views:
    """Answers. Holds nothing of its own."""

    def __init__(
        self,
        *,
        ports: Ports,
        recorder: Recorder,
        folder: Folder,
        naming: Naming,
        readers: Readers,
        departed: Collection[Workload],
        limits: Limits,
    ) -> None:
        plane = ports.plane
        self._departed = departed
        self._plane = plane
        self._book = ports.book
        self._host = ports.host
        self._recorder = recorder
        self._folder = folder
        self._naming = naming
        self._node = readers.node
        self._words = readers.vocabulary
        self._flows = readers.flows
        self._samples = readers.samples
        self._drops = readers.drops
        self._gone_for_ns = limits.gone_for_ns
        self._bins = int(plane.dtype("um_series")["bins"].shape[0])

    def edges_lately(self, window_ns: int, asked: EdgeFilter, *, at: Moment) -> EdgeView:
        """What happened in the last `window_ns`, or since the agent started if that is less."""
        edges, context = self._totals()
        stretch = self._recorder.window.last(window_ns, now_ns=at.monotonic_ns)
        grown = [] if stretch.edges is None else [self._naming.edges(stretch.edges, context)]
        series = [] if stretch.series is None else [self._naming.series(stretch.series, context)]
        rows = edge_rows(
            join_edges([slots.named() for slots in grown]),
            [slots.named() for slots in series],
            self._frame(stretch.end_ns - stretch.start_ns, open_now(edges)),
        )
        return self._view(rows, asked, at.epoch_of(stretch.start_ns), at.epoch_of(stretch.end_ns))

    def edges_total(self, asked: EdgeFilter, *, since_ns: int, at: Moment) -> EdgeView:
        """What happened since `since_ns`, when the counters began (since the epoch)."""
        edges, context = self._totals()
        series = [self._folder.kept.series()]
        held = self._recorder.series_totals()
        if held is not None:
            series.append(self._naming.series(held, context).named())
        until_ns = at.epoch_of(self._recorder.swept_ns or at.monotonic_ns)
        rows = edge_rows(edges, series, self._frame(until_ns - since_ns, open_now(edges)))
        return self._view(rows, asked, since_ns, until_ns)

    def flows(self, asked: FlowFilter, *, limit: int) -> list[Flow]:
        """The newest flows, ended ones before those that are open; oldest first within each."""
        recorder = self._recorder
        open_ones: list[Flow] = []
        if asked.state in (None, FlowState.OPEN):
            open_ones = self._flows.read(self._live(), asked, seen_ns=recorder.swept_ns)[-limit:]
            open_ones.sort(key=lambda flow: flow.opened_ns)
        if asked.state is FlowState.OPEN or len(open_ones) >= limit:
            return open_ones
        ended = self._flows.last(
            recorder.flows, asked, limit=limit - len(open_ones), seen_ns=recorder.swept_ns
        )
        return [*ended, *open_ones]

    def follow_flows(self, records: Structured, asked: FlowFilter) -> list[Flow]:
        """Flows that just ended."""
        return self._flows.read(records, asked, seen_ns=self._recorder.swept_ns)

    def samples(self, asked: SampleFilter, *, limit: int) -> list[Sample]:
        """The newest samples, oldest first."""
        return self._samples.last(self._recorder.samples, asked, limit=limit)

    def follow_samples(self, records: Structured, asked: SampleFilter) -> list[Sample]:
        """Samples that just came."""
        return self._samples.read(records, asked)

    def drops(self, *, reason: str | None, workload: str | None) -> list[Drop]:
        """Drops by reason since the last `down`, most packets first."""
        rows = self._drops.read(*self._plane.dump("um_drops"))
        rows += self._drops.kept(self._folder.kept_drops)
        return sorted(_asked(rows, reason, workload), key=lambda row: -row.packets)

    def drops_since(
        self, before: DropRows | None, *, reason: str | None, workload: str | None
    ) -> tuple[list[Drop], DropRows]:
        """Rows that grew over `before`, packets and bytes being the growth; and what to pass next
        time. With None nothing grew: it is the base."""
        rows = self._drops.read(*self._plane.dump("um_drops"))
        after = {(row.reason, row.workload, row.protocol, row.port): row for row in rows}
        grown: list[Drop] = []
        for key, row in after.items() if before is not None else ():
            held = before.get(key) if before else None
            packets = row.packets - (held.packets if held else 0)
            if packets > 0:
                size = row.bytes - (held.bytes if held else 0)
                grown.append(replace(row, packets=packets, bytes=max(0, size)))
        return sorted(_asked(grown, reason, workload), key=lambda row: row.last_ns), after

    def workloads(self, *, now_ns: int) -> list[Workload]:
        """Those that are there by name, with their processes; then those lately gone."""
        there, gone = [], []
        for workload in (*self._book.all(), *self._departed):
            if workload.gone_ns is None:
                pids = self._host.pids(workload.cgroup, workload.exe)
                there.append(replace(workload, pids=pids))
            elif now_ns - workload.gone_ns < self._gone_for_ns:
                gone.append(workload)
        there.sort(key=lambda one: (one.namespace, one.name, one.number))
        gone.sort(key=lambda one: -(one.gone_ns or 0))
        return [*there, *gone]

    def _totals(self) -> tuple[dict[EdgeKey, list[int]], Context]:
        """Connection counters by row since they began, and what naming learns from them."""
        held = self._recorder.edge_totals()
        context = self._naming.context(held, self._folder.kept.protocols)
        parts = [self._folder.kept.edges()]
        if held is not None:
            parts.append(self._naming.edges(held, context).named())
        return join_edges(parts), context

    def _frame(self, nanoseconds: int, open_connections: Mapping[EdgeKey, int]) -> Frame:
        return Frame(
            node=self._node,
            seconds=nanoseconds / SECOND_NS,
            failures=self._words.failures,
            bins=self._bins,
            open=open_connections,
            tls_names=self._recorder.tls_names(),
        )

    def _view(
        self, rows: Iterable[Edge], asked: EdgeFilter, since_ns: int, until_ns: int
    ) -> EdgeView:
        return EdgeView(
            since_ns=since_ns,
            until_ns=until_ns,
            edges=tuple(row for row in rows if asked.matches(row)),
        )

    def _live(self) -> Structured:
        """Open connections as last swept, without those that ended since."""
        live = self._recorder.live
        for batch in self._recorder.flows.backwards(1024):
            live = live[~np.isin(live["cookie"], batch["cookie"])]
            if not len(batch) or batch["ended_ns"][0] < self._recorder.swept_ns:
                break
        return live


def _asked(rows: Iterable[Drop], reason: str | None, workload: str | None) -> list[Drop]:
    return [
        row
        for row in rows
        if (reason is None or row.reason.lower() == reason.lower())
        and (workload is None or (row.workload is not None and matcher(workload)(row.workload)))
    ]
