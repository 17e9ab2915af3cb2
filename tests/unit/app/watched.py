# SPDX-License-Identifier: Apache-2.0
"""One watched node on fakes, with a clock that tests move."""

from dataclasses import dataclass, field

import numpy as np

from undermesh.app.limits import SECOND_NS, Limits
from undermesh.app.observatory import Observatory
from undermesh.app.ports import Ports
from undermesh.app.report import Self
from undermesh.app.views import EdgeFilter, Moment
from undermesh.host.book import WorkloadBook
from undermesh.model.protocol import Protocol
from undermesh.model.workload import NodeId
from undermesh.testing import arrays
from undermesh.testing.edges import (
    FakeHost,
    FakeIdentities,
    FakeLedger,
    FakeNotes,
    FakeRunCgroups,
)
from undermesh.testing.plane import SIZES, FakePlane

EPOCH = 1_700_000_000 * SECOND_NS
ALL = EdgeFilter()


@dataclass
class Node:
    """What outlives an agent (plane, ledger, notes, host), and the agent of the moment."""

    limits: Limits = field(default_factory=Limits)
    plane: FakePlane = field(default_factory=FakePlane)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    notes: FakeNotes = field(default_factory=FakeNotes)
    host: FakeHost = field(
        default_factory=lambda: FakeHost({1: "/", 7: "/system.slice/web.service"})
    )
    cgroups: FakeRunCgroups = field(default_factory=FakeRunCgroups)
    sizes: dict = field(default_factory=lambda: dict(SIZES))
    second: float = 100.0

    def __post_init__(self):
        self.words = arrays.vocabulary()
        self.start(continues=False)

    @property
    def at(self):
        ns = int(self.second * SECOND_NS)
        return Moment(monotonic_ns=ns, epoch_ns=EPOCH + ns)

    def start(self, *, continues=True):
        """A new agent on what is there."""
        self.agent = Observatory(
            ports=Ports(
                plane=self.plane,
                sizes=self.sizes,
                book=WorkloadBook(node=NodeId("n1")),
                host=self.host,
                ledger=self.ledger,
                notes=self.notes,
                identities=FakeIdentities(),
                cgroups=self.cgroups,
            ),
            myself=Self(
                version="0", node=NodeId("n1"), instance="t", pid=1, started_ns=self.at.epoch_ns
            ),
            limits=self.limits,
        )
        return self.agent.open(continues=continues, at=self.at)

    def pass_seconds(self, seconds):
        """One round of every loop each second."""
        for _ in range(seconds):
            self.second += 1
            self.agent.follow(at=self.at)
            self.agent.drain(at=self.at)
            self.agent.sweep(at=self.at)

    def owner(self, number, exe, *, cgroup=7, path="/system.slice/web.service"):
        """A socket was made by `exe`."""
        self.host.paths.setdefault(cgroup, path)
        self.plane.put("um_cgroups", cgroup, path=path.encode(), born_ns=1)
        self.plane.put(
            "um_owners", {"cgroup_id": cgroup, "exe": exe.encode()}, number=number, first_ns=1
        )

    def leaves(self, cgroup, path):
        """The cgroup was removed."""
        self.host.paths.pop(cgroup, None)
        self.plane.put(
            "um_cgroups", cgroup, path=path.encode(), born_ns=1, gone_ns=self.at.monotonic_ns
        )

    def http(self, client, server, requests, *, status=200, opened=1):
        """Counters of one HTTP edge as they stand."""
        ends = {
            "client": client,
            "server": server,
            "port": 80,
            "role": self.words.client,
            "l7": self.words.number_of(Protocol.HTTP),
        }
        bins = np.zeros(722, np.uint64)
        bins[300] = requests
        last = self.at.monotonic_ns
        self.plane.put(
            "um_series",
            {**ends, "method": 1, "status": status},
            requests=requests,
            duration_ns=requests * 1000,
            bins=bins,
            last_ns=last,
        )
        self.plane.put(
            "um_edges", ends, opened=opened, closed=opened, tx_bytes=10 * requests, last_ns=last
        )

    def totals(self):
        """{(client, server): requests} since the last `down`."""
        view = self.agent.views.edges_total(ALL, since_ns=self.agent.since_ns(), at=self.at)
        return {(e.key.client.name, e.key.server.name): e.requests for e in view.edges}

    def lately(self, seconds=10):
        view = self.agent.views.edges_lately(int(seconds * SECOND_NS), ALL, at=self.at)
        return {(e.key.client.name, e.key.server.name): e.requests for e in view.edges}
