# SPDX-License-Identifier: Apache-2.0
"""Lock, state, data plane: what the agent holds while it lives, in the order it is taken."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from undermesh import config, host, store
from undermesh.agent import adapters
from undermesh.agent.desired import DesiredStore
from undermesh.agent.lock import PidLock
from undermesh.agent.places import Places
from undermesh.agent.steering import Given, Tables
from undermesh.app.census import seed_cgroups
from undermesh.app.desired import DesiredState
from undermesh.app.ports import Ports
from undermesh.host import netns
from undermesh.kernel import errors, plane
from undermesh.kernel.names import NameCapture
from undermesh.model.workload import NodeId

log = logging.getLogger("undermesh.agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """What steering and names stand on."""

    tables: Tables
    given: Given
    plane: plane.Plane
    places: Places
    capture: NameCapture


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The edges, ready. `continues`: the kernel's maps have counted before."""

    ports: Ports
    desired: DesiredState
    mesh: "Mesh"
    continues: bool


@contextlib.contextmanager
def opened(settings: config.Config) -> Iterator[Opened]:
    """Everything the use cases stand on; given back in the opposite order.

    The data plane is only let go of: its programs stay attached and go on counting.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(PidLock(settings.agent.pid_file, settings.agent.instance))
        root = settings.kernel.cgroup_root or host.find_cgroup2()
        database = stack.enter_context(store.Database.open(settings.agent.state))
        if database.moved_aside is not None:
            log.warning("state was unreadable and moved to %s", database.moved_aside)
        book = host.WorkloadBook(node=NodeId(settings.agent.node))
        machine = adapters.Host(
            root=root,
            scope=settings.kernel.scope,
            roots=_runtime_roots(settings.host),
            book=book,
        )
        prepared = plane.prepare(_options(settings.kernel, settings.agent.instance, root))
        continues = _numbered(prepared)
        ledger, running = _attach(prepared, machine, database, continues=continues)
        stack.enter_context(running)
        keys = store.KeyStore(database)
        base = settings.kernel.scope or root
        runs = host.RunCgroups(base=base, instance=settings.agent.instance)
        ports = Ports(
            plane=running,
            sizes={name: one.spec.max_entries for name, one in running.maps.items()},
            book=book,
            host=machine,
            ledger=ledger,
            notes=adapters.Notes(keys),
            identities=adapters.Identities(keys),
            cgroups=adapters.RunCgroups(runs),
        )
        desired = DesiredState(DesiredStore(keys))
        mesh = _mesh(running, keys, NodeId(settings.agent.node), stack)
        yield Opened(ports=ports, desired=desired, mesh=mesh, continues=continues)


def _mesh(
    running: plane.Plane, keys: store.KeyStore, node: NodeId, stack: contextlib.ExitStack
) -> Mesh:
    places = Places(netns.Namespaces())
    stack.callback(places.close)
    tables = Tables(running.maps, places)
    stack.callback(tables.close)
    return Mesh(
        tables=tables,
        given=Given(keys, node=node),
        plane=running,
        places=places,
        capture=NameCapture(running),
    )


def _attach(
    prepared: plane.PreparedPlane,
    machine: adapters.Host,
    database: store.Database,
    *,
    continues: bool,
) -> tuple[adapters.Ledger, plane.Plane]:
    """Attaches the programs, once the maps hold what must be there first.

    Maps that begin anew begin new totals, and do so before anything is counted: killed right after,
    the next agent finds an empty ledger beside maps that have hardly counted.
    """
    with contextlib.ExitStack() as unless_attached:
        unless_attached.callback(prepared.close)
        bins = prepared.tables.dtype("um_series")["bins"].shape[0]
        ledger = adapters.Ledger(database, bins=bins)
        if not continues:
            ledger.reset()
        _seed(prepared, machine)
        running = prepared.attach()
        unless_attached.pop_all()
    return ledger, running


def _seed(prepared: plane.PreparedPlane, machine: adapters.Host) -> None:
    """Tells the kernel which cgroups there are. No room is no reason not to start: while no agent
    lived, nobody took out what went, and the first round will."""
    table = prepared.tables
    known, _ = table.dump("um_cgroups")
    there = machine.cgroups()
    missed = there.keys() - set(known.tolist())
    room = table.map("um_cgroups").spec.max_entries - len(known)
    try:
        left = seed_cgroups(table, {ident: there[ident] for ident in missed}, room=room)
    except errors.MapFull as error:
        log.warning("%s", error)
        return
    if left:
        log.warning("um_cgroups is full: %d cgroups are named later", left)


def _numbered(prepared: plane.PreparedPlane) -> bool:
    """Whether the maps have counted already: they have given numbers."""
    first = prepared.tables.enum("um_number")["UM_NUMBER_FIRST"]
    _, numbers = prepared.tables.dump("um_numbers")
    return bool(len(numbers)) and int(numbers[0]) > first


def _options(kernel_: config.KernelConfig, instance: str, root: Path) -> plane.Options:
    return plane.Options(
        cgroup_root=root,
        bpffs=kernel_.bpffs,
        instance=instance,
        scope=kernel_.scope,
        shards=kernel_.shards,
        keep_query=kernel_.keep_query,
        errors_per_s=kernel_.errors_per_s,
        slow_per_s=kernel_.slow_per_s,
        plain_per_s=kernel_.plain_per_s,
        answers_per_s=kernel_.answers_per_s,
        processes_per_s=kernel_.processes_per_s,
        sizes=kernel_.sizes.entries(),
        libbpf=kernel_.libbpf,
    )


def _runtime_roots(settings: config.HostConfig) -> host.RuntimeRoots:
    return host.RuntimeRoots(
        docker=settings.docker_root,
        podman=settings.podman_root,
        nerdctl=settings.nerdctl_root,
        kubernetes_logs=settings.kubernetes_logs,
    )
