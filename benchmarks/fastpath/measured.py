# SPDX-License-Identifier: Apache-2.0
"""Round trips and streams, by turns over plain TCP and from socket to socket."""

from collections.abc import Iterator

from benchmarks import processes, spread
from benchmarks.fastpath import pairs
from benchmarks.fastpath.pairs import Pair
from benchmarks.pace import Pace, say
from benchmarks.processes import BenchError
from benchmarks.rows import Bar, Bound, Row

PEER = "loopback TCP, nothing of undermesh on it"
TURNS = 4000


def one_core(pace: Pace) -> Iterator[Row]:
    """64 bytes there and back, both ends on one processor."""
    core = processes.cores()[0]
    yield from _round_trips(pace, (core, core), where="one core", bar=0.75)


def two_cores(pace: Pace) -> Iterator[Row]:
    """The same, each end on a processor of its own."""
    first, second = processes.cores()
    yield from _round_trips(pace, (first, second), where="two cores", bar=1.0)


def stream(pace: Pace) -> Iterator[Row]:
    """One direction as fast as it goes, in writes of 16 KiB."""
    first, second = processes.cores()
    size = pace.pick(256 << 20, 32 << 20)
    say(f"fastpath: streams of {size >> 20} MiB")
    theirs, ours, _ = _by_turns((first, second), f"stream {size}", pace.pick(15, 3))
    gbit = [[size * 8 / took for took in taken] for taken in (theirs, ours)]
    ratios = [mine / other for other, mine in zip(*gbit, strict=True)]
    yield from _rows("streaming", gbit[1], gbit[0], "Gbit/s", ratios, ("≥", 0.95), "")


def _round_trips(pace: Pace, cpus: tuple[int, int], *, where: str, bar: float) -> Iterator[Row]:
    say(f"fastpath: 64 bytes there and back, {where}")
    order = f"turns {pace.pick(TURNS, 500)}"
    theirs, ours, share = _by_turns(cpus, order, pace.pick(40, 5), counts=True)
    theirs, ours = [t / 1000 for t in theirs], [t / 1000 for t in ours]
    ratios = [mine / other for other, mine in zip(theirs, ours, strict=True)]
    note = f"; HTTP, every request counted, {share:.1%} of the bytes from socket to socket"
    yield from _rows(f"64-byte round trip, {where}", ours, theirs, "µs", ratios, ("≤", bar), note)


def _by_turns(
    cpus: tuple[int, int], order: str, rounds: int, *, counts: bool = False
) -> tuple[list[float], list[float], float]:
    """Nanoseconds over TCP and joined, in pairs whose order changes; the share redirected."""
    taken: tuple[list[float], list[float]] = ([], [])
    with (
        pairs.watched() as (running, scope),
        pairs.plain(cpus) as plain,
        pairs.joined(running, scope, cpus) as joined,
    ):
        both: list[tuple[list[float], Pair]] = [(taken[0], plain), (taken[1], joined)]
        for _, pair in both:
            pair.ask(order)
        before = pairs.redirected(running)
        for _ in range(rounds):
            for into, pair in both:
                into.append(pair.ask(order))
            both.reverse()
        moved = pairs.redirected(running) - before
        word, number = order.split()
        asked = (rounds + 1) * int(number)
        if counts and pairs.requests(running) != asked:
            raise BenchError(f"{pairs.requests(running)} of {asked} requests were counted")
    there = rounds * int(number) * (128 if word == "turns" else 1)
    return *taken, moved / there


def _rows(
    name: str,
    ours: list[float],
    theirs: list[float],
    unit: str,
    ratios: list[float],
    bar: tuple[Bound, float],
    note: str,
) -> Iterator[Row]:
    found = spread.interval(ratios)
    yield Row(
        name=name,
        ours=spread.median(ours),
        unit=unit,
        peer=PEER,
        theirs=spread.median(theirs),
        how=f"ours {spread.spread(ours)}; theirs {spread.spread(theirs)}{note}",
    )
    yield Row(
        name=f"{name}, of plain TCP",
        ours=found.mean,
        unit="of theirs",
        bar=Bar(bound=bar[0], figure=bar[1]),
        how=f"neighbouring runs over each other: {found}; all counting on, none on theirs",
    )
