# SPDX-License-Identifier: Apache-2.0
"""The use cases put together: what the agent's loops call, and what the API asks."""

from collections.abc import Sequence

from undermesh.app.census import Census
from undermesh.app.folding import Folder
from undermesh.app.journal import Journal
from undermesh.app.limits import SECOND_NS, Limits
from undermesh.app.ports import Ports
from undermesh.app.recorder import Recorder
from undermesh.app.report import Reporter, Self
from undermesh.app.runs import Runs
from undermesh.app.views import Moment, Readers, Views
from undermesh.model.status import LoopStatus, Status
from undermesh.model.workload import Workload
from undermesh.telemetry.answers import AnswerTable
from undermesh.telemetry.leaving import Leaving, orphans
from undermesh.telemetry.names import Names
from undermesh.telemetry.naming import Naming
from undermesh.telemetry.vocabulary import Vocabulary

_ORPHANS_EVERY_NS = 10 * SECOND_NS


class Observatory:
    """Watches one node. Not safe for use by several threads: rounds and questions take turns."""

    def __init__(self, *, ports: Ports, myself: Self, limits: Limits) -> None:
        self._ports = ports
        self._limits = limits
        plane, node = ports.plane, myself.node
        words = Vocabulary.read(plane.enum)
        self._first = words.first
        self._answers = AnswerTable(limit=limits.answers)
        names = Names(
            vocabulary=words,
            workloads=ports.book.get,
            answers=self._answers,
            kept=limits.retired,
        )
        self._names = names
        self._leaving = Leaving(quiet_ns=limits.quiet_ns)
        self._census = Census(ports=ports, leaving=self._leaving, limits=limits)
        self._journal = Journal(notes=ports.notes, node=node)
        self._orphans_ns = 0
        naming = Naming(vocabulary=words, ends=names)
        readers = Readers(node=node, vocabulary=words, names=names, reasons=plane.drop_reasons())
        recorder = Recorder(plane=plane, vocabulary=words, names=names, limits=limits)
        self.recorder = recorder
        self._folder = Folder(
            ports=ports, recorder=recorder, naming=naming, drops=readers.drops, limits=limits
        )
        self.views = Views(
            ports=ports,
            recorder=recorder,
            folder=self._folder,
            naming=naming,
            readers=readers,
            departed=self._census.departed,
            limits=limits,
        )
        self.runs = Runs(cgroups=ports.cgroups, notes=ports.notes, book=ports.book, node=node)
        self._reporter = Reporter(myself=myself, plane=plane, recorder=recorder)

    def open(self, *, continues: bool, at: Moment) -> int:
        """Takes over what an agent before left; the first reading. Answers how many entries of an
        unfinished fold it finished.

        `continues`: the kernel's maps have counted before. If not, nothing written down about
        their numbers means anything any more.
        """
        if continues:
            self._names.restore(self._journal.read())
        else:
            self._journal.clear()
        undone = self._folder.recover()
        self.runs.restore()
        self._census.follow(now_ns=at.monotonic_ns)
        self.recorder.absorb(self._ports.plane.retired)
        self.recorder.drain()
        self.recorder.sweep(now_ns=at.monotonic_ns)
        self._folder.fold_retired()
        return undone

    def close(self) -> None:
        """The last round: what is not written down yet is."""
        self.recorder.drain()
        self._journal.write(self._names.take_fresh())

    def follow(self, *, at: Moment) -> None:
        """Workloads that came, went, were renamed. To be called twice a second or more."""
        self._census.follow(now_ns=at.monotonic_ns)

    def inhabitants(self) -> list[tuple[Workload, int]]:
        """The workloads that are there, with the cookies of their network namespaces."""
        return self._census.inhabitants()

    def drain(self, *, at: Moment) -> None:
        """Empties the rings. To be called several times a second."""
        if self.recorder.drain():
            self._name_for_followers(at)

    def sweep(self, *, at: Moment) -> None:
        """Reads all counters, then folds what is gone. To be called once a second."""
        piece = self.recorder.sweep(now_ns=at.monotonic_ns)
        if len(self.recorder.new_flows):
            self._name_for_followers(at)
        if piece is not None:
            self._leaving.moved(piece.edges, now_ns=at.monotonic_ns)
            self._leaving.moved(piece.series, now_ns=at.monotonic_ns)
        self._fold(at.monotonic_ns)
        self._journal.write(self._names.take_fresh())

    def tidy(self, *, at: Moment) -> None:
        """Removes the cgroups of runs that are over. To be called now and then."""
        self.runs.tidy(now_ns=at.monotonic_ns)

    def since_ns(self) -> int:
        """When the counters began, in ns since the epoch."""
        return int(self._ports.ledger.since * SECOND_NS)

    def status(self, *, memory_bytes: int, loops: Sequence[LoopStatus]) -> Status:
        """The data plane and the agent as they stand."""
        book = self._ports.book
        return self._reporter.status(
            since_ns=self.since_ns(),
            workloads=len(book) - len(book.gone()),
            memory_bytes=memory_bytes,
            malformed=self._answers.malformed,
            loops=loops,
        )

    def _name_for_followers(self, at: Moment) -> None:
        """They see their rows next, and the workloads in them may be younger than the last look at
        who is there."""
        self._census.follow(now_ns=at.monotonic_ns)

    def _fold(self, now_ns: int) -> None:
        self._watch_orphans(now_ns)
        numbers = self._leaving.ripe(now_ns=now_ns, limit=self._limits.folds)
        numbers += self.recorder.idle_peers(
            now_ns=now_ns,
            pressure=self._limits.pressure,
            max_entries=self._ports.sizes["um_peers"],
            limit=self._limits.folds,
        )
        self._folder.fold(numbers, now_ns=now_ns)
        if numbers:
            self._journal.erase(self._names.retire(numbers))
            self.recorder.forget(frozenset(numbers))
            self._leaving.forget(numbers)
            self._census.remove(numbers)
            self.recorder.remove_peers(numbers)
        self._folder.shrink()

    def _watch_orphans(self, now_ns: int) -> None:
        """Numbers still counted for whose owner left the kernel: a socket outlived the fold."""
        if now_ns - self._orphans_ns < _ORPHANS_EVERY_NS:
            return
        self._orphans_ns = now_ns
        # A number is in its table before anything is counted for it, so the tables are read after
        # the counters: else whoever came in between looked like an orphan, and would be folded.
        self._census.follow(now_ns=now_ns)
        known = self.recorder.known_numbers(self._census.numbers)
        for meter in (self.recorder.edges, self.recorder.series):
            if meter.reading is not None:
                lost = orphans(meter.reading.keys, known, self._first)
                self._leaving.watch(lost, now_ns=now_ns)
