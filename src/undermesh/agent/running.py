# SPDX-License-Identifier: Apache-2.0
"""The agent's life: what is started in which order, and stopped in the opposite one."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from undermesh import __version__, config, host, store
from undermesh.agent import adapters, logs, removing
from undermesh.agent.adapters import now
from undermesh.agent.lock import AlreadyRunning, PidLock
from undermesh.agent.loops import Loop, Pace
from undermesh.api.access import Access
from undermesh.api.server import ApiServer, Places, SocketRefused
from undermesh.api.service import Service
from undermesh.app.census import seed_cgroups
from undermesh.app.limits import Limits
from undermesh.app.observatory import Edges, Observatory, Self
from undermesh.kernel import errors, plane
from undermesh.model.status import Status
from undermesh.model.workload import NodeId

log = logging.getLogger("undermesh.agent")

RINGS_SECONDS = 0.25
CENSUS_SECONDS = 0.4
TIDY_SECONDS = 10.0

_REFUSALS = (
    AlreadyRunning,
    SocketRefused,
    errors.KernelError,
    host.HostError,
    store.StoreError,
    config.ConfigError,
)


def run(settings: config.Config) -> int:
    """See `agent.run`."""
    logs.set_up(level=settings.log.level, format_=settings.log.format)
    for warning in settings.warnings:
        log.warning("%s", warning)
    try:
        with started(settings) as agent:
            asyncio.run(agent.live())
    except _REFUSALS as error:
        print(f"undermesh: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"undermesh: starting: {error}", file=sys.stderr)
        return 1
    if agent.remove:
        removing.down(settings)
    return 0


@contextlib.contextmanager
def started(settings: config.Config) -> Iterator["Agent"]:
    """Lock, state, data plane, first reading; undone in the opposite order.

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
        # `attach` takes over what `prepared` holds; until then it is ours to give back.
        with contextlib.ExitStack() as unless_attached:
            unless_attached.callback(prepared.close)
            continues = _numbered(prepared)
            bins = prepared.tables.dtype("um_series")["bins"].shape[0]
            ledger = adapters.Ledger(database, bins=bins)
            if not continues:
                ledger.reset()
            seed_cgroups(prepared.tables, machine.cgroups())
            running = prepared.attach()
            unless_attached.pop_all()
        stack.enter_context(running)
        keys = store.KeyStore(database)
        base = settings.kernel.scope or root
        edges = Edges(
            plane=running,
            sizes={name: one.spec.max_entries for name, one in running.maps.items()},
            book=book,
            host=machine,
            ledger=ledger,
            notes=adapters.Notes(keys),
            identities=adapters.Identities(keys),
            cgroups=adapters.RunCgroups(
                host.RunCgroups(base=base, instance=settings.agent.instance)
            ),
        )
        agent = Agent(settings=settings, edges=edges)
        undone = agent.observatory.open(continues=continues, at=now())
        if undone:
            log.info("finished folding %d entries an agent before had begun to fold", undone)
        yield agent


@dataclass(slots=True)
class _Wish:
    """How the agent was asked to end."""

    end: asyncio.Event
    remove: bool = False


class Agent:
    """A started agent: its loops and its API."""

    def __init__(self, *, settings: config.Config, edges: Edges) -> None:
        self.remove = False
        self._settings = settings
        self._plane = edges.plane
        agent, telemetry = settings.agent, settings.telemetry
        self.observatory = Observatory(
            edges=edges,
            myself=Self(
                version=__version__,
                node=NodeId(agent.node),
                instance=agent.instance,
                pid=os.getpid(),
                started_ns=now().epoch_ns,
            ),
            limits=_limits(telemetry),
        )
        self.loops = (
            _loop("rings", RINGS_SECONDS, self.observatory.drain),
            _loop("census", CENSUS_SECONDS, lambda: self.observatory.follow(at=now())),
            _loop(
                "sweep",
                telemetry.sweep.total_seconds(),
                lambda: self.observatory.sweep(at=now()),
            ),
            _loop("tidy", TIDY_SECONDS, lambda: self.observatory.tidy(at=now())),
        )

    async def live(self) -> None:
        """Answers and watches until a signal or a caller asks to end.

        A loop that returns is a bug and ends the agent; the data plane goes on without it.
        """
        wish = _Wish(asyncio.Event())
        server = self._server(wish)
        server.open()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, wish.end.set)
        ending = asyncio.create_task(wish.end.wait(), name="end")
        serving = asyncio.create_task(server.serve(), name="api")
        eternal = [asyncio.create_task(one.task(), name=one.status().name) for one in self.loops]
        self._say_hello()
        done, _ = await asyncio.wait(
            [ending, serving, *eternal], return_when=asyncio.FIRST_COMPLETED
        )
        for task in done - {ending}:
            log.critical("task %s ended; it never should: report this", task.get_name())
        for task in eternal:
            task.cancel()
        server.close()
        await asyncio.gather(serving, *eternal, return_exceptions=True)
        ending.cancel()
        self.observatory.close()
        self.remove = wish.remove
        if not self.remove:
            log.info(
                "the agent ends; its programs stay attached and go on counting until "
                "`undermesh down`"
            )
        for task in done - {ending}:
            task.result()

    def status(self) -> Status:
        """The data plane and the agent as they stand."""
        return self.observatory.status(
            memory_bytes=resident_bytes(), loops=[loop.status() for loop in self.loops]
        )

    def _server(self, wish: _Wish) -> ApiServer:
        settings = self._settings

        def shut_down(remove: bool) -> None:
            wish.remove = remove
            wish.end.set()

        token = config.bearer(settings.api) if settings.api.listen else None
        service = Service(
            observatory=self.observatory,
            now=now,
            status=self.status,
            config=lambda: config.effective(settings),
            shut_down=shut_down,
            window_seconds=settings.telemetry.window.total_seconds(),
        )
        return ApiServer(
            service=service,
            access=Access(
                group=settings.api.group, token=token.reveal() if token is not None else None
            ),
            places=Places(path=settings.socket, tcp=settings.api.listen),
            version=__version__,
        )

    def _say_hello(self) -> None:
        settings = self._settings
        for program in self._plane.program_info():
            if not program.attached and program.why:
                log.warning("%s is not attached: %s", program.name, program.why)
        log.info(
            "undermesh %s, instance %s, %s; answering on %s",
            __version__,
            settings.agent.instance,
            "took over a running data path" if self._plane.adopted else "data path attached",
            settings.socket,
        )


def resident_bytes() -> int:
    """Memory of this process that is in RAM (proc(5), statm)."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _loop(name: str, seconds: float, round_: Callable[[], object]) -> Loop:
    return Loop(pace=Pace(name=name, seconds=seconds), round_=round_)


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


def _limits(telemetry: config.TelemetryConfig) -> Limits:
    return Limits(
        window_ns=_nanoseconds(telemetry.window),
        flows=telemetry.flows_kept,
        samples=telemetry.samples_kept,
        answers=telemetry.names_kept,
        gone_ends=telemetry.gone_kept,
        gone_rows=telemetry.gone_kept * 8,
        gone_for_ns=_nanoseconds(telemetry.gone_for),
    )


def _runtime_roots(settings: config.HostConfig) -> host.RuntimeRoots:
    return host.RuntimeRoots(
        docker=settings.docker_root,
        podman=settings.podman_root,
        nerdctl=settings.nerdctl_root,
        kubernetes_logs=settings.kubernetes_logs,
    )


def _nanoseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1) * 1000
