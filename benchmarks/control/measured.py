# SPDX-License-Identifier: Apache-2.0
"""From manifests, from the store, and from one change, until the kernel's tables have it."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import agent, kernel_tables, processes, spread
from benchmarks.agent import Agent, Place
from benchmarks.control.fleet import PORT, TARGET, Fleet
from benchmarks.kernel_tables import Pinned
from benchmarks.pace import Pace, say
from benchmarks.processes import BenchError
from benchmarks.rows import Bar, Row
from undermesh import host
from undermesh.kernel import bpffs, plane
from undermesh.wire.objects import Source

FROM_STORE_S, FROM_FILES_S, ONE_CHANGE_MS = 2.0, 10.0, 20.0
FAMILIES = 2
"""A service has an IPv4 and an IPv6 address: as many entries in the kernel."""

SAMPLE = 25
_PATIENCE_S = 120.0
_LOOK_S = 0.0002


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Seconds until everything was in force: since the agent's process began, and since its loops
    did."""

    in_force: float
    round_s: float


def measure(pace: Pace) -> Iterator[Row]:
    """Rows for files, store and one change."""
    fleet = Fleet(services=pace.pick(10_000, 1_000), endpoints=10)
    starts = pace.pick(5, 2)
    changed: dict[int, int] = {}
    with processes.own_cgroup(host.find_cgroup2()) as scope, agent.placed() as place:
        manifests = place.directory / "manifests"
        manifests.mkdir()
        size = fleet.write(manifests)
        with _running(place, scope) as running:
            say(f"control: applying {fleet.services:,} services × {fleet.endpoints} from files")
            took, told = _apply(running, manifests, fleet)
            with kernel_tables.pinned(place.instance) as held:
                _sampled(running, held, fleet, changed)
                yield _from_files(took, told, size, fleet)
                yield from _one_change(running, held, fleet, changed, pace)
        found = [_restarted(place, scope, fleet, changed) for _ in range(starts)]
    yield from _from_store(found, fleet)


@contextlib.contextmanager
def _running(place: Place, scope: Path) -> Iterator[Agent]:
    with agent.launched(place, [str(agent.COMMAND), "up", "--scope", str(scope)]) as running:
        yield running


def _apply(running: Agent, manifests: Path, fleet: Fleet) -> tuple[float, float]:
    """Seconds from the start of the command until all is in force, and until it had ended."""
    command = [str(agent.COMMAND), "apply", "-f", str(manifests)]
    began = time.monotonic()
    with kernel_tables.pinned(running.place.instance) as held:
        applying = processes.start(command, environment=running.place.environment())
        with processes.running(applying):
            until = began + _PATIENCE_S
            ended = 0.0
            while held.count() < fleet.services * FAMILIES or not ended:
                if not ended and applying.poll() is not None:
                    ended = time.monotonic() - began
                if time.monotonic() > until or applying.poll() not in (None, 0):
                    raise BenchError(f"apply came to nothing; the agent said {running.said()}")
                time.sleep(0.01)
            in_force = time.monotonic() - began
    return max(in_force, ended), ended


def _restarted(place: Place, scope: Path, fleet: Fleet, changed: Mapping[int, int]) -> Started:
    """An agent that finds nothing in the kernel and everything in its store."""
    plane.remove(bpffs=bpffs.DEFAULT, instance=place.instance)
    place.log.unlink()  # what the agent before said is not for us
    say("control: an agent starts with everything in its store and nothing in the kernel")
    watching = _Watch(place, fleet.services * FAMILIES)
    began = time.monotonic()
    watching.start()
    with _running(place, scope) as running:
        watching.join(_PATIENCE_S)
        if watching.at is None:
            raise BenchError(f"not in force after {_PATIENCE_S:g} s: {running.said()}")
        with kernel_tables.pinned(place.instance) as held:
            _sampled(running, held, fleet, changed)
    begun = watching.loops_at if watching.loops_at is not None else watching.at
    return Started(in_force=watching.at - began, round_s=watching.at - begun)


class _Watch(threading.Thread):
    """Notes when an agent that starts has begun its loops, and when the kernel holds everything."""

    def __init__(self, place: Place, entries: int) -> None:
        super().__init__(daemon=True)
        self._place, self._entries = place, entries
        self.loops_at: float | None = None
        self.at: float | None = None

    def run(self) -> None:
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            if self.loops_at is None:
                with contextlib.suppress(OSError):
                    if b"answering on" in self._place.log.read_bytes():
                        self.loops_at = time.monotonic()
            else:
                with kernel_tables.pinned(self._place.instance) as held:
                    while held.count() < self._entries and time.monotonic() < until:
                        time.sleep(0.01)
                    self.at = time.monotonic()
                return
            time.sleep(0.002)


def _sampled(running: Agent, held: Pinned, fleet: Fleet, changed: Mapping[int, int]) -> None:
    """Looks into a sample of services. Raises BenchError where the kernel has another answer."""
    for number in range(0, fleet.services, max(1, fleet.services // SAMPLE)):
        for address in _addresses(running, fleet, number):
            found = held.sent_to(address, PORT)
            if found != fleet.backends(number, changed=changed.get(number)):
                raise BenchError(f"{fleet.name(number)} at {address} is sent to {found}")


def _addresses(running: Agent, fleet: Fleet, number: int) -> list[str]:
    return [one.split(" ")[0] for one in running.client.explain(fleet.name(number)).addresses]


def _one_change(
    running: Agent, held: Pinned, fleet: Fleet, changed: dict[int, int], pace: Pace
) -> Iterator[Row]:
    say("control: one endpoint changes, again and again")
    taken: list[float] = []
    answered: list[float] = []
    for turn in range(pace.pick(25, 5) + 1):
        number = (turn * 397) % fleet.services
        address, port = _addresses(running, fleet, number)[0], TARGET + 1 + turn
        wanted = fleet.backends(number, changed=port)
        source = Source(name="one.yaml", text=fleet.manifest(number, changed=port))
        time.sleep(0.6)  # whatever the change before has set off is over
        there = partial(_is_sent_to, held, address, wanted)
        took, answer = _changed(running, source, there)
        changed[number] = port
        taken.append(took * 1e3)
        answered.append(answer * 1e3)
    yield Row(
        name="one endpoint changed, until the kernel has it",
        ours=spread.median(taken[1:]),
        unit="ms",
        bar=Bar(bound="≤", figure=ONE_CHANGE_MS),
        how=f"from before objects:apply of its service is sent until its slots name the new "
        f"backend in {fleet.services:,} services × {fleet.endpoints}: {spread.spread(taken[1:])} "
        f"ms; answered to the caller after {spread.median(answered[1:]):.1f} ms",
    )


def _is_sent_to(held: Pinned, address: str, wanted: set[tuple[str, int]]) -> bool:
    return held.sent_to(address, PORT) == wanted


def _changed(running: Agent, source: Source, there: Callable[[], bool]) -> tuple[float, float]:
    """Seconds until the kernel has it, and until the caller had an answer."""
    answered: list[float] = []

    def ask() -> None:
        running.client.desired.apply([source])
        answered.append(time.monotonic())

    asking = threading.Thread(target=ask, daemon=True)
    began = time.monotonic()
    asking.start()
    while not there():
        if time.monotonic() - began > _PATIENCE_S:
            raise BenchError("a changed endpoint never reached the kernel")
        time.sleep(_LOOK_S)
    done = time.monotonic()
    asking.join(_PATIENCE_S)
    return done - began, (answered[0] if answered else done) - began


def _from_files(took: float, told: float, size: int, fleet: Fleet) -> Row:
    return Row(
        name=f"{fleet.services:,} services × {fleet.endpoints} from YAML files, in force",
        ours=took,
        unit="s",
        bar=Bar(bound="≤", figure=FROM_FILES_S),
        how=f"`undermesh apply -f DIRECTORY` of {size / 1e6:.1f} MB, from the start of the command "
        f"until it has ended ({told:.2f} s) and the kernel has every entry; one run",
    )


def _from_store(found: list[Started], fleet: Fleet) -> Iterator[Row]:
    rounds = [one.round_s for one in found]
    yield Row(
        name=f"{fleet.services:,} services × {fleet.endpoints} from the store, in force",
        ours=spread.median(rounds),
        unit="s",
        bar=Bar(bound="≤", figure=FROM_STORE_S),
        how=f"from when the agent's loops begin until the kernel, empty before, has every entry: "
        f"{spread.spread(rounds)} s",
    )
    whole = [one.in_force for one in found]
    yield Row(
        name="the same from the start of the agent's process",
        ours=spread.median(whole),
        unit="s",
        how=f"programs loaded and attached, host looked over: {spread.spread(whole)} s",
    )
