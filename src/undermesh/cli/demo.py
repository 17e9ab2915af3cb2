# SPDX-License-Identifier: Apache-2.0
"""`undermesh demo`: a small shop under load, its live picture, and whether the counts agree."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

import click

from undermesh.cli import edges, hints, output, screen, units
from undermesh.cli.map import text as map_text
from undermesh.cli.options import duration, json_option
from undermesh.cli.outcome import ANSWER_IS_NO, DONE, Refusal
from undermesh.cli.paint import paint_for
from undermesh.cli.surroundings import surroundings
from undermesh.cli.top import TopView
from undermesh.client import Client
from undermesh.wire.drops import DropRow
from undermesh.wire.edges import EdgeRow, Edges

if TYPE_CHECKING:
    from undermesh.demo.shop import LoadReport, Shop

_SETTLE_SECONDS = 10.0
_WINDOW_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was counted, beside what the load generator says it got."""

    load: LoadReport
    answer: Edges
    drops: list[DropRow]
    lost: dict[str, int]
    entry: EdgeRow | None

    @property
    def agrees(self) -> bool:
        return self.entry is not None and self.entry.requests == self.load.answered > 0


@click.command(short_help="A small shop under load, and its live picture.")
@click.option("--seconds", type=duration, default="30", help="How long it runs (30).")
@click.option("--rate", type=click.FloatRange(1, 5000), default=200.0, help="Requests/s (200).")
@click.option("--keep", is_flag=True, help="Go on after the picture, until Ctrl-C.")
@json_option
def demo(seconds: float, rate: float, keep: bool, as_json: bool) -> int:
    """Starts nginx, Redis, five services and a load generator, watches them, and cleans up.

    All on loopback, with an agent of its own; other agents and system services are left alone.
    Exits 0 only if every request the generator got answered was counted. Needs root.
    """
    if os.geteuid() != 0:
        raise Refusal(
            "`demo` needs root: it loads programs into the kernel", hint="sudo undermesh demo"
        )
    with _terminated_cleanly():
        result = _play(seconds, rate, keep, as_json)
    if as_json:
        output.print_json(
            {
                "generated": result.load.answered,
                "edges": result.answer.edges,
                "drops": result.drops,
                "lost": result.lost,
            }
        )
    else:
        output.print_lines(_summary(result))
    return DONE if result.agrees else ANSWER_IS_NO


def _play(seconds: float, rate: float, keep: bool, as_json: bool) -> Result:
    """Runs the shop and returns its figures; the shop is gone when this returns."""
    from undermesh import host
    from undermesh.demo import servers, shop

    if not as_json:
        click.echo(
            "Starting an agent, nginx, Redis, five services and a load generator …", err=True
        )
    try:
        with (
            shop.open_shop(
                rate=rate,
                cgroup_root=host.find_cgroup2(),
                caller=surroundings().sudo_uid or None,
            ) as running,
            running.connect() as client,
        ):
            _watch(running, client, seconds, as_json)
            if keep:
                _keep(running)
            return _measure(running, client)
    except servers.Missing as error:
        packages = " ".join(error.packages)
        hint = f"install them: sudo apt-get install --no-install-recommends {packages}"
        raise Refusal(str(error), hint=hint) from error
    except shop.ShopBroken as error:
        said = f"\n{error.said}" if error.said else ""
        raise Refusal(f"{error}{said}") from error


def _watch(running: Shop, client: Client, seconds: float, as_json: bool) -> None:
    """The live picture where a person looks, else just the time it takes."""
    if screen.can_show() and not as_json:
        screen.show(_ShopView(running, client), seconds=seconds)
        return
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        running.check()
        time.sleep(min(0.2, max(0.0, until - time.monotonic())))


class _ShopView(TopView):
    """`top` on the shop; a part that dies ends it."""

    def __init__(self, running: Shop, client: Client) -> None:
        super().__init__(
            client=client,
            choice=edges.Choice(),
            window=_WINDOW_SECONDS,
            total=False,
            paint=paint_for(),
            heading="undermesh demo",
        )
        self._running = running

    def frame(self, *, width: int, height: int) -> list[str]:
        self._running.check()
        return super().frame(width=width, height=height)


def _keep(running: Shop) -> None:
    """Stays until Ctrl-C, and says what can be done meanwhile from another terminal."""
    lines = ["The shop goes on until Ctrl-C. From another terminal:", ""]
    lines += hints.commands(
        (
            (f"top --instance {running.instance}", "who talks to whom, live"),
            (f"map --instance {running.instance}", "the same as a picture"),
            (f"tap --errors --follow --instance {running.instance}", "requests that fail"),
            (f"flows --follow --instance {running.instance}", "connections as they come and go"),
            (f"status --instance {running.instance}", "programs and maps in the kernel"),
        ),
        paint_for(),
    )
    click.echo("\n".join(lines), err=True)
    try:
        while True:
            running.check()
            time.sleep(0.5)
    except KeyboardInterrupt:
        click.echo("", err=True)


def _measure(running: Shop, client: Client) -> Result:
    """The totals once the agent has seen the last answer, or after a bounded wait."""
    from undermesh.demo.shop import ENTRY

    load = running.finish_load()
    until = time.monotonic() + _SETTLE_SECONDS
    while True:
        answer = client.edges(total=True)
        entry = next((e for e in answer.edges if (e.client, e.server) == ENTRY), None)
        counted = entry is not None and entry.requests >= load.answered and entry.open == 0
        if counted or time.monotonic() > until:
            break
        time.sleep(0.2)
    answer.edges = edges.select(answer.edges, edges.Choice(sort="requests"))
    return Result(
        load=load,
        answer=answer,
        drops=client.drops().drops,
        lost=client.status().lost,
        entry=entry,
    )


def _summary(result: Result) -> Iterator[str]:
    paint, width = paint_for(), output.line_width()
    yield from edges.table(
        result.answer, edges.Choice(sort="requests"), total=True, width=width, paint=paint
    )
    yield ""
    yield from map_text(result.answer.edges, width=width, paint=paint)
    yield ""
    yield from _comparison(result)
    yield ""
    yield "Try next:"
    yield from hints.commands(
        (
            ("up --detach", "the same for this whole host"),
            ("top", "who talks to whom, live"),
            ("map", "the same as a picture"),
            ("demo --keep", "the shop again, to look at from another terminal"),
        ),
        paint,
    )


def _comparison(result: Result) -> Iterator[str]:
    """Two accounts of the same requests: the generator's own, and the kernel's."""
    paint, load, entry = paint_for(), result.load, result.entry
    counted = 0 if entry is None else entry.requests
    verdict = paint("all of them", "green") if result.agrees else paint("NOT the same", "red")
    yield (
        f"The load generator sent {load.sent:,} requests and got {load.answered:,} answers; "
        f"undermesh counted {counted:,}: {verdict}."
    )
    if entry is not None:
        rows = (
            ("p50", load.p50_ms, entry.p50_ms),
            ("p90", load.p90_ms, entry.p90_ms),
            ("p99", load.p99_ms, entry.p99_ms),
        )
        theirs = ", ".join(f"{name} {units.milliseconds(mine)}" for name, mine, _ in rows)
        ours = ", ".join(f"{name} {units.milliseconds(seen)}" for name, _, seen in rows)
        yield f"Latency by the generator's own clock: {theirs}"
        yield f"           as seen by the kernel:     {ours}"
    lost = {name: count for name, count in result.lost.items() if count}
    yield f"Lost on the way: {lost}" if lost else "Lost on the way: nothing."


@contextlib.contextmanager
def _terminated_cleanly() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does: through its clean-up, which no second
    signal cuts short."""

    def stop(signum: int, frame: FrameType | None) -> None:
        for number in ending:
            signal.signal(number, signal.SIG_IGN)
        with contextlib.suppress(OSError):  # a terminal that hung up
            print("\nCleaning up …", file=sys.stderr)
        raise KeyboardInterrupt

    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in ending}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
