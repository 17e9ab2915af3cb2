# SPDX-License-Identifier: Apache-2.0
"""The agent's life: what is started in which order, and stopped in the opposite one."""

import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from undermesh import __version__, config, host, store
from undermesh.agent import logs, removing
from undermesh.agent.adapters import now
from undermesh.agent.answering import Answering
from undermesh.agent.lock import AlreadyRunning
from undermesh.agent.loops import Loop, Pace
from undermesh.agent.opening import Opened, opened
from undermesh.agent.prioritising import Prioritising
from undermesh.agent.steering import Inhabitants, SteeringLoop
from undermesh.api.access import Access
from undermesh.api.server import ApiServer, Places, SocketRefused
from undermesh.api.service import Service
from undermesh.app.limits import Limits
from undermesh.app.objects import Objects
from undermesh.app.observatory import Observatory
from undermesh.app.report import Self
from undermesh.app.steering import Edges, Place, Steering
from undermesh.health.prober import Prober
from undermesh.host import netns
from undermesh.kernel import errors
from undermesh.model.health import Verdict
from undermesh.model.status import Status
from undermesh.model.workload import NodeId

log = logging.getLogger("undermesh.agent")

RINGS_SECONDS = 0.25
CENSUS_SECONDS = 0.4
NAMES_SECONDS = 1.0
PRIORITIES_SECONDS = 1.0
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
    # Sockets in every network namespace, checks and forwarded queries: each is a descriptor.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with opened(settings) as held:
            agent = Agent(settings=settings, held=held)
            undone = agent.observatory.open(continues=held.continues, at=now())
            if undone:
                log.info("finished folding %d entries that an agent before began to", undone)
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


@dataclass(slots=True)
class _Wish:
    """How the agent was asked to end."""

    end: asyncio.Event
    remove: bool = False


class Agent:
    """A started agent: its loops and its API."""

    def __init__(self, *, settings: config.Config, held: Opened) -> None:
        ports = held.ports
        self.remove = False
        self._settings = settings
        self._plane = ports.plane
        self.desired = held.desired
        agent, telemetry = settings.agent, settings.telemetry
        self.observatory = Observatory(
            ports=ports,
            myself=Self(
                version=__version__,
                node=NodeId(agent.node),
                instance=agent.instance,
                pid=os.getpid(),
                started_ns=now().epoch_ns,
            ),
            limits=_limits(telemetry),
        )
        self._mesh = held.mesh
        self._fast: bool | None = None
        self._places = held.mesh.places
        self.names = Answering(capture=held.mesh.capture, places=self._places)
        self.prober = Prober(self._found, connect_in=self._places.socket_in)
        self._steer = SteeringLoop(self._steer_once)
        self.steering = Steering(
            edges=Edges(
                wanted=held.desired,
                tables=held.mesh.tables,
                given=held.mesh.given,
                inhabitants=Inhabitants(self.observatory.inhabitants),
                names=self.names,
                checks=self.prober,
            ),
            place=Place(node=NodeId(agent.node), netns=netns.own_cookie()),
            wake=self._steer.wake,
        )
        self.priorities = Prioritising(
            plane=held.mesh.plane,
            places=self._places,
            steering=self.steering,
            workloads=lambda: [one for one, _ in self.observatory.inhabitants()],
        )
        self.loops = (
            self._steer,
            _loop("priorities", PRIORITIES_SECONDS, self.priorities.round),
            _loop("names", NAMES_SECONDS, self.names.follow),
            _loop("rings", RINGS_SECONDS, lambda: self.observatory.drain(at=now())),
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
        checking = asyncio.create_task(self.prober.run(), name="prober")
        leave = self.desired.follow(self._steer.wake)
        self.names.start()
        eternal = [asyncio.create_task(one.task(), name=one.status().name) for one in self.loops]
        self._say_hello()
        done, _ = await asyncio.wait(
            [ending, serving, checking, *eternal], return_when=asyncio.FIRST_COMPLETED
        )
        for task in done - {ending}:
            log.critical("task %s ended; it never should: report this", task.get_name())
        leave()
        for task in (checking, *eternal):
            task.cancel()
        server.close()
        await asyncio.gather(serving, checking, *eternal, return_exceptions=True)
        await asyncio.to_thread(self.names.stop)
        ending.cancel()
        self.observatory.close()
        self.remove = wish.remove
        if self.remove:
            await asyncio.to_thread(self.priorities.clear)
        if not self.remove:
            log.info(
                "the agent ends; its programs stay attached and go on counting until "
                "`undermesh down`"
            )
        for task in done - {ending}:
            task.result()

    def _steer_once(self) -> None:
        done = self.steering.beat(now_ns=now().monotonic_ns)
        if done is None:
            return
        for name, why in done.problems.items():
            log.debug("service %s: %s", name, "; ".join(why))
        wanted = any(one.fastpath for one in self.steering.services.values())
        if wanted != self._fast:
            why_not = self._mesh.plane.turn_fastpath(on=wanted)
            self._fast = wanted
            if why_not:
                log.warning("the fast path is off: %s", why_not)

    def _found(self, verdict: Verdict) -> None:
        self.steering.healths.found(verdict)

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
            objects=Objects(self.desired),
            steering=self.steering,
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
            if not program.attached and program.why and "no service asks" not in program.why:
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


def _nanoseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1) * 1000
