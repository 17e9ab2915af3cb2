# SPDX-License-Identifier: Apache-2.0
"""Desired state → kernel, by level: what is there is compared with what should be, and made so.

A round reads what changed (objects, workloads, verdicts), compiles the services it touches, plans
the writes and does them. Stopped anywhere, the next round goes on from what the kernel holds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from undermesh.app import said
from undermesh.app.backends import BackendOwners
from undermesh.app.health import Checks, Healths
from undermesh.app.limits import SECOND_NS
from undermesh.app.ports import Structured
from undermesh.app.service_health import Watched, watched
from undermesh.app.steering_ports import Given, Inhabitants, Names, Tables, Wanted
from undermesh.compile.desired import NOTHING, Desired
from undermesh.compile.services import services as compiled
from undermesh.compile.services import sizes
from undermesh.compile.world import World
from undermesh.model.service import (
    ANY_NETNS,
    Netns,
    PrioritySpec,
    Service,
    ServiceId,
    ServiceName,
    WorkloadSpec,
)
from undermesh.model.workload import NodeId
from undermesh.reconcile.actual import NO_MEMORY, Actual, Memory
from undermesh.reconcile.plan import plan
from undermesh.traffic import addresses
from undermesh.traffic.addresses import Ranges
from undermesh.traffic.endpoints import NOBODY, Selected
from undermesh.traffic.selecting import HostWorkload, select
from undermesh.traffic.states import EndpointKey, Verdict

COUNT_NS = SECOND_NS
"""How often the kernel's counters of backends are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """What steering stands on."""

    wanted: Wanted
    tables: Tables
    given: Given
    inhabitants: Inhabitants
    names: Names
    checks: Checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where this is, and where addresses of services come from."""

    node: NodeId
    zone: str = ""
    netns: Netns = ANY_NETNS
    """The agent's own network namespace: where loopback addresses of manifests are."""
    ranges: Ranges = field(default_factory=Ranges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round came to. `again_ns` is how long until the next is due at the latest."""

    steps: int
    services: int
    problems: Mapping[ServiceName, tuple[str, ...]]
    again_ns: int | None


class Steering:
    """All in one thread."""

    def __init__(
        self, *, edges: Edges, place: Place, wake: Callable[[], None] = lambda: None
    ) -> None:
        """`wake` is called when a round is due because somebody's health turned."""
        self._edges = edges
        self._place = place
        self._head = -1
        self._said = said.NOTHING
        self._hosts: object = None
        self._selected: Mapping[ServiceName, Selected] = {}
        self._watched: dict[ServiceName, Watched] = {}
        self._verdicts: Mapping[ServiceName, Mapping[EndpointKey, Verdict]] = {}
        self._addresses, self._ids = edges.given.read()
        self._next = edges.given.next()
        self._names_of: Mapping[ServiceName, ServiceId] = {}
        self._names: Mapping[ServiceId, ServiceName] = {}
        self._desired: Desired = NOTHING
        self._actual: Actual | None = None
        self._memory: Memory = NO_MEMORY
        self._problems: Mapping[ServiceName, tuple[str, ...]] = MappingProxyType({})
        self._unnamed: Mapping[ServiceName, str] = MappingProxyType({})
        self._due_ns: int | None = None
        self._counted_ns = 0
        held = edges.tables.actual()
        self._owners = BackendOwners(held.backends, self._named())
        self.healths = Healths(checks=edges.checks, in_use=self._owners.in_use(), wake=wake)

    @property
    def desired(self) -> Desired:
        """What the kernel was last made to hold."""
        return self._desired

    @property
    def world(self) -> World | None:
        """What that was compiled from."""
        return self._desired.world

    @property
    def priorities(self) -> tuple[PrioritySpec, ...]:
        """Every Priority that was asked for."""
        return self._said.priorities

    @property
    def workload_specs(self) -> tuple[WorkloadSpec, ...]:
        """What Workload objects say."""
        return self._said.workloads

    @property
    def services(self) -> Mapping[ServiceName, Service]:
        """Every service that was asked for."""
        return self._said.services

    @property
    def problems(self) -> Mapping[ServiceName, tuple[str, ...]]:
        """What could not be had, by service."""
        return self._problems

    def id_of(self, name: ServiceName) -> ServiceId | None:
        """The kernel's number of a service."""
        return self._ids.get(name)

    def named(self, number: int) -> ServiceName | None:
        """The service a kernel's number is."""
        return self._named().get(ServiceId(number))

    def loads(self) -> Structured:
        """The kernel's counters of every backend, by number."""
        return self._edges.tables.loads()

    @property
    def owners(self) -> BackendOwners:
        """Whose number each backend is."""
        return self._owners

    def beat(self, *, now_ns: int) -> Round | None:
        """What is to be done now: the counters looked at, the kernel made to agree."""
        self.count(now_ns=now_ns)
        return self.round(now_ns=now_ns)

    def count(self, *, now_ns: int) -> None:
        """Looks at the kernel's counters of backends; to be called about once a second."""
        if self._said.services and now_ns - self._counted_ns >= COUNT_NS:
            self._counted_ns = now_ns
            self.healths.counted(self._edges.tables.loads(), self._owners, now_ns=now_ns)

    def round(self, *, now_ns: int) -> Round | None:
        """Makes the kernel agree; None where there was nothing to do.

        Raises what the tables raise; nothing is remembered then, and the next round compares
        everything.
        """
        hosts = self._edges.inhabitants.hosts()
        head = self._edges.wanted.changed
        verdicts = self.healths.take_changed()
        due = self._due_ns is not None and now_ns >= self._due_ns
        if head == self._head and hosts is self._hosts and not verdicts and not due:
            return None
        names = self._read(head)
        if hosts is not self._hosts:
            names = None
        if head != self._head or hosts is not self._hosts:
            self._choose(hosts, names)
            self._watch(names, now_ns)
        self._head, self._hosts = head, hosts
        # What watching brought about is in this round.
        self._judge(verdicts | self.healths.take_changed(), names)
        return self._agree(now_ns)

    def _read(self, head: int) -> frozenset[ServiceName] | None:
        """Reads what is stored; which services are concerned, None where it may be any."""
        if head == self._head:
            return frozenset()
        objects = self._edges.wanted.objects()
        touched = self._edges.wanted.touched(since=self._head)
        if touched is None or touched.others:
            self._said = said.grouped(objects, self._said, self._place.netns)
            return None
        self._said = said.regrouped(objects, self._said, self._place.netns, touched.services)
        return touched.services

    def _choose(self, hosts: Sequence[HostWorkload], names: frozenset[ServiceName] | None) -> None:
        services = self._said.services
        if names is None:
            wanted = services.values()
            self._selected = select(wanted, hosts, self._said.workloads, self._selected)
            return
        some = [services[name] for name in names if name in services]
        chosen = select(some, hosts, self._said.workloads, self._selected)
        if any(chosen.get(name) is not self._selected.get(name) for name in names):
            left = dict(self._selected)
            for name in names:
                left.pop(name, None)
            self._selected = left | chosen

    def _watch(self, names: frozenset[ServiceName] | None, now_ns: int) -> None:
        if names is not None:
            changed = {name: self._watched_as(name) for name in names}
            for name, one in changed.items():
                if one is None:
                    self._watched.pop(name, None)
                else:
                    self._watched[name] = one
            self.healths.rewatch(changed, now_ns=now_ns)
            return
        before, known = self._desired.world, self._watched
        found: dict[ServiceName, Watched] = {}
        for name, service in self._said.services.items():
            sets, selected = self._said.sets.get(name, ()), self._selected.get(name, NOBODY)
            same = (
                before is not None
                and name in known
                and before.services.get(name) is service
                and before.endpoint_sets.get(name, ()) is sets
                and before.selected.get(name, NOBODY) is selected
            )
            found[name] = known[name] if same else watched(service, sets, selected)
        self._watched = found
        self.healths.watch(found, now_ns=now_ns)

    def _watched_as(self, name: ServiceName) -> Watched | None:
        service = self._said.services.get(name)
        if service is None:
            return None
        sets, selected = self._said.sets.get(name, ()), self._selected.get(name, NOBODY)
        return watched(service, sets, selected)

    def _judge(self, changed: frozenset[ServiceName], names: frozenset[ServiceName] | None) -> None:
        """Takes over the verdicts of these services, of all where anything may have changed."""
        services = self._said.services
        if names is None:
            found = {name: self.healths.verdicts(name) for name in services}
            self._verdicts = {name: verdicts for name, verdicts in found.items() if verdicts}
        elif changed or names:
            kept = dict(self._verdicts)
            for name in changed | names:
                verdicts = self.healths.verdicts(name) if name in services else {}
                kept.pop(name, None)
                if verdicts:
                    kept[name] = verdicts
            self._verdicts = kept

    def _agree(self, now_ns: int) -> Round:
        self._due_ns = now_ns + SECOND_NS  # when something is raised
        unnamed = self._give()
        world = World(
            services=self._said.services,
            ids=self._ids,
            addresses=self._addresses,
            endpoint_sets=self._said.sets,
            selected=self._selected,
            verdicts=self._verdicts,
            sizes=sizes(self._desired),
            node=self._place.node,
            zone=self._place.zone,
        )
        desired = compiled(world, self._desired)
        actual = self._actual if self._actual is not None else self._edges.tables.actual()
        self._actual, memory, self._memory = None, self._memory, NO_MEMORY
        planned = plan(desired, actual, memory, now_ns / SECOND_NS)
        self._edges.tables.perform(planned.steps)
        self._actual, self._memory = actual.after(planned.steps), planned.memory
        if desired.names is not self._desired.names and desired.names != self._desired.names:
            self._edges.names.set_names(desired.names.values())
        self._desired = desired
        self._owners = BackendOwners(self._actual.backends, self._named())
        again = None if planned.again is None else int(planned.again * SECOND_NS) + 1
        self._due_ns = None if again is None else now_ns + again
        self._problems = _joined(desired.problems, unnamed, planned.refused)
        return Round(
            steps=len(planned.steps),
            services=len(desired.shards),
            problems=self._problems,
            again_ns=again,
        )

    def _give(self) -> Mapping[ServiceName, str]:
        """Addresses and numbers for services that have none, kept before they are used."""
        services, before = self._said.services, self._desired.world
        if before is not None and said.claims_alike(services, before.services):
            return self._unnamed
        found = addresses.assign(self._addresses, services.values(), self._place.ranges)
        numbered = addresses.number(self._ids, services, self._next)
        fresh = {
            name: (numbered.ids[name], found.addresses.get(name, ()))
            for name in services
            if name in numbered.ids
            and (
                self._ids.get(name) != numbered.ids[name]
                or self._addresses.get(name, ()) != found.addresses.get(name, ())
            )
        }
        if fresh:
            self._edges.given.write(fresh, following=numbered.next)
        self._ids, self._next = dict(numbered.ids), numbered.next
        # What a service that is gone had stays known: it gets it again when it comes back.
        self._addresses = {**self._addresses, **found.addresses}
        self._unnamed = {**found.problems, **numbered.problems}
        return self._unnamed

    def _named(self) -> Mapping[ServiceId, ServiceName]:
        if self._names_of is not self._ids:
            self._names_of = self._ids
            self._names = {number: name for name, number in self._ids.items()}
        return self._names


def _joined(
    compiled: Mapping[ServiceName, tuple[str, ...]], *others: Mapping[ServiceName, str]
) -> Mapping[ServiceName, tuple[str, ...]]:
    result = dict(compiled)
    for other in others:
        for name, why in other.items():
            result[name] = (*result.get(name, ()), why)
    return MappingProxyType(result)
