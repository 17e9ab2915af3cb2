# SPDX-License-Identifier: Apache-2.0
"""Connect, ask 64 bytes, close: by turns along every way there is."""

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import processes, spread
from benchmarks.lb import ends, peers, tables
from benchmarks.lb.ends import Caller, Target
from benchmarks.pace import Pace, say
from benchmarks.rows import Bar, Row

SERVICES, BACKENDS = 10_000, 3
OF_DIRECT, OF_ONE = 1.05, 1.10
FEW, MANY = 1, 100_000
BATCH = 100
PLAIN, COUNTED = "direct", "direct, counted"

Way = tuple[Caller, Callable[[int], Target]]


def beside(pace: Pace) -> Iterator[Row]:
    """Through one of 10,000 services, against direct, nftables and HAProxy."""
    services = pace.pick(SERVICES, 1_000)
    say(f"lb: {services:,} services × {BACKENDS} in the kernel, in nftables, in HAProxy")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(processes.scratch())
        program = ends.compiled(directory)
        ways = _ways(stack, directory, program, services)
        taken = _by_turns(ways, services, rounds=pace.pick(300, 20))
    yield from _beside(taken, services)


def size(pace: Pace) -> Iterator[Row]:
    """With one service and with 100,000."""
    many = pace.pick(MANY, 10_000)
    say(f"lb: {FEW} service and {many:,}, by turns")
    taken: dict[int, list[float]] = {FEW: [], many: []}
    with contextlib.ExitStack() as stack:
        program = ends.compiled(stack.enter_context(processes.scratch()))
        up = stack.enter_context(tables.started())
        ports = stack.enter_context(ends.server(program, cgroup=up.scope))
        caller = stack.enter_context(ends.caller(program, cgroup=up.scope))
        draw = random.Random(1)
        for turn in range(pace.pick(60, 4) * 2):
            # A, B, B, A …: what drifts slowly is on both sides alike.
            count = (FEW, many, many, FEW)[turn % 4]
            up.load(count, backends=1, ports=ports)
            targets = [(tables.address(draw.randrange(count)), tables.PORT) for _ in range(BATCH)]
            caller.ask(targets[:50])
            taken[count].append(caller.ask(targets))
    ratios = [b / a for a, b in zip(taken[FEW], taken[many], strict=True)]
    found = spread.interval(ratios)
    yield Row(
        name=f"connect, ask, close with {many:,} services",
        ours=spread.median(taken[many]),
        unit="µs",
        peer=f"{FEW} service",
        theirs=spread.median(taken[FEW]),
        how=f"ours {spread.spread(taken[many])}; theirs {spread.spread(taken[FEW])}; a random one "
        "of them every time",
    )
    yield Row(
        name=f"{many:,} services, of {FEW}",
        ours=spread.median(ratios),
        unit="of theirs",
        bar=Bar(bound="≤", figure=OF_ONE),
        how=f"median of neighbours over each other: {spread.spread(ratios)}; mean {found}",
    )


def _ways(
    stack: contextlib.ExitStack, directory: Path, program: Path, services: int
) -> dict[str, Way]:
    up = stack.enter_context(tables.started())
    seen = stack.enter_context(ends.server(program, cgroup=up.scope))
    plain = stack.enter_context(ends.server(program))
    up.load(services, backends=BACKENDS, ports=seen)
    inside = stack.enter_context(ends.caller(program, cgroup=up.scope))
    outside = stack.enter_context(ends.caller(program))
    stack.enter_context(peers.haproxy(directory, services, plain))
    within = stack.enter_context(peers.namespace())
    other = stack.enter_context(ends.server(program, within=within))
    peers.nftables(within, services, other)
    translated = stack.enter_context(ends.caller(program, within=within))
    return {
        PLAIN: (outside, lambda n: ("127.0.0.1", plain[n % len(plain)])),
        "a service": (inside, lambda n: (tables.address(n), tables.PORT)),
        COUNTED: (inside, lambda n: ("127.0.0.1", seen[n % len(seen)])),
        "nftables": (translated, lambda n: (peers.address(n), peers.PORT)),
        "HAProxy": (outside, lambda n: (peers.address(n), peers.PORT)),
    }


def _by_turns(ways: Mapping[str, Way], services: int, *, rounds: int) -> dict[str, list[float]]:
    """Microseconds a connection, one batch a round and way; every round begins with another."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    draw = random.Random(1)
    names = list(ways)
    for turn in range(-1, rounds):
        numbers = [draw.randrange(services) for _ in range(BATCH)]
        for name in names:
            caller, target = ways[name]
            took = caller.ask([target(number) for number in numbers])
            if turn >= 0:
                taken[name].append(took)
        names.append(names.pop(0))
    return taken


def _beside(taken: Mapping[str, Sequence[float]], services: int) -> Iterator[Row]:
    ours = taken["a service"]
    for name in (PLAIN, COUNTED, "nftables", "HAProxy"):
        theirs = taken[name]
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        limit = {PLAIN: OF_DIRECT, COUNTED: OF_DIRECT}.get(name, 1.0)
        yield Row(
            name=f"connect, ask, close through a service, of {name}",
            ours=spread.median(ratios),
            unit="of theirs",
            bar=Bar(bound="≤", figure=limit),
            how=f"{spread.median(ours):.2f} µs against {spread.median(theirs):.2f} (medians of "
            f"{len(ours)} batches of {BATCH}); batches of one round over each other: "
            f"{spread.spread(ratios)}. {services:,} services × {BACKENDS}; {_WHAT[name]}",
        )


_WHAT = {
    PLAIN: "theirs: 127.0.0.1, nothing of undermesh; ours with everything on",
    COUNTED: "theirs: 127.0.0.1, everything on as for ours: what the choice alone costs",
    "nftables": "theirs: one map, a backend drawn at random, in a network namespace of its own",
    "HAProxy": "theirs: TCP, one thread, on the server's core",
}
