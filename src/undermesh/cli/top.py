# SPDX-License-Identifier: Apache-2.0
"""`undermesh top`: the live table of edges."""

from __future__ import annotations

from dataclasses import replace

import click

from undermesh.cli import edges, output, screen, units
from undermesh.cli.options import agent, agent_options, duration, json_option
from undermesh.cli.paint import Paint, paint_for
from undermesh.cli.table import elide
from undermesh.client import AgentUnreachable, Client
from undermesh.wire.edges import Edges

WINDOWS = (1.0, 10.0, 60.0)


class TopView:
    """The table as a live view: fetched for every frame, scrolled and sorted by keys."""

    def __init__(
        self,
        *,
        client: Client,
        choice: edges.Choice,
        window: float,
        total: bool,
        paint: Paint,
        heading: str = "undermesh top",
        interval: float = 1.0,
    ) -> None:
        self.interval = interval
        self._client = client
        self._choice = choice
        self._window = window
        self._total = total
        self._paint = paint
        self._heading = heading
        self._first = 0
        self._page = 1
        self._paused = False
        self._answer: Edges | None = None
        self._trouble = ""

    def frame(self, *, width: int, height: int) -> list[str]:
        self._fetch()
        if self._answer is None:
            return [self._paint(elide(self._trouble, width), "red")]
        body = edges.table(
            self._answer, self._choice, total=self._total, width=width, paint=self._paint
        )
        self._page = max(1, height - 4)
        rows = body[1:]
        self._first = max(0, min(self._first, len(rows) - self._page))
        visible = rows[self._first : self._first + self._page]
        filler = [""] * (self._page - len(visible))
        return [self._status_line(width), body[0], *visible, *filler, "", self._keys(width, rows)]

    def press(self, key: str) -> None:
        orders = list(edges.ORDERS)
        match key:
            case "s" | "S":
                step = 1 if key == "s" else -1
                at = (orders.index(self._choice.sort) + step) % len(orders)
                self._choice = replace(self._choice, sort=orders[at])
            case "r":
                self._choice = replace(self._choice, ascending=not self._choice.ascending)
            case "t":
                self._total = not self._total
            case "w":
                self._window = next((w for w in WINDOWS if w > self._window), WINDOWS[0])
            case "p" | " ":
                self._paused = not self._paused
            case "up" | "k":
                self._first -= 1
            case "down" | "j":
                self._first += 1
            case "page-up" | "page-down":
                self._first += self._page if key == "page-down" else -self._page

    def _fetch(self) -> None:
        """A live view outlives its agent: it says so, keeps the last picture and tries again."""
        if self._paused and self._answer is not None:
            return
        try:
            self._answer = self._client.edges(
                window=None if self._total else self._window, total=self._total
            )
            self._trouble = ""
        except AgentUnreachable as error:
            self._trouble = f"{error.message}; trying again"

    def _status_line(self, width: int) -> str:
        assert self._answer is not None
        if self._trouble:
            return self._paint(elide(self._trouble, width), "red")
        period = "since the last `down`" if self._total else f"last {units.span(self._window)}"
        paused = " · paused" if self._paused else ""
        rest = f" · {period} · {edges.summary(self._answer)}{paused}"
        heading = self._heading[:width]
        return self._paint(heading, "bold") + rest[: max(0, width - len(heading))]

    def _keys(self, width: int, rows: list[str]) -> str:
        position = ""
        if len(rows) > self._page:
            last = min(len(rows), self._first + self._page)
            position = f"  {self._first + 1}–{last} of {len(rows)}"
        keys = f"q quit  s sort ({self._choice.sort})  r reverse  w window  t total  p pause"
        if len(keys) + len(position) > width:
            keys = f"q quit  s sort ({self._choice.sort})  w window  t total"
        return self._paint((keys + position)[:width], "dim")


@click.command(short_help="Who talks to whom: rate, errors, latency, per edge.")
@click.option("--window", type=duration, default="10s", help="Look back this long (10s).")
@click.option("--total", is_flag=True, help="Count since the last `down`, not in a window.")
@click.option(
    "--sort",
    type=click.Choice(list(edges.ORDERS)),
    default=None,
    metavar="COLUMN",
    help=f"One of {', '.join(edges.ORDERS)}.",
)
@click.option("--reverse", is_flag=True, help="Turn the order around.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many rows.")
@click.option("-n", "--namespace", help="Edges with an end in this namespace.")
@click.option("-w", "--workload", help="Edges with this workload at one end.")
@click.option("--protocol", help="http, http2, tls, tcp, udp or dns.")
@click.option("--once", is_flag=True, help="Print one table and end.")
@click.option("--interval", type=duration, default="1s", help="Seconds between two pictures.")
@json_option
@agent_options
def top(
    window: float,
    total: bool,
    sort: str | None,
    reverse: bool,
    limit: int | None,
    namespace: str | None,
    workload: str | None,
    protocol: str | None,
    once: bool,
    interval: float,
    as_json: bool,
    **where: str | None,
) -> None:
    """Who talks to whom: one row per client, server, port and protocol.

    \b
    RATE is answered requests a second (connections a second where the
    protocol is not decoded), ERR the share with status 500 or more or cut
    without an answer, P50…P99 the time from the first byte of the request to
    the first byte of its answer.
    """
    choice = edges.Choice(
        sort=sort or ("requests" if total else "rate"),
        ascending=reverse,
        limit=limit or 0,
        namespace=namespace,
        workload=workload,
        protocol=protocol,
    )
    with agent() as client:
        if as_json or once or not screen.can_show():
            _print(client, choice, None if total else window, as_json=as_json)
            return
        client.status()  # an agent that is not there is said on the plain screen
        screen.show(
            TopView(
                client=client,
                choice=choice,
                window=window,
                total=total,
                paint=paint_for(),
                interval=interval,
            )
        )


def _print(client: Client, choice: edges.Choice, window: float | None, *, as_json: bool) -> None:
    total = window is None
    answer = client.edges(window=window, total=total)
    if as_json:
        answer.edges = edges.select(answer.edges, choice)
        output.print_json(answer)
        return
    paint = paint_for()
    lines = edges.table(answer, choice, total=total, width=output.line_width(), paint=paint)
    output.print_lines(lines)
