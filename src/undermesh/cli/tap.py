# SPDX-License-Identifier: Apache-2.0
"""`undermesh tap`: single requests out of the bounded sample."""

from __future__ import annotations

import click

from undermesh.cli import output, units
from undermesh.cli.edges import title
from undermesh.cli.options import agent, agent_options, follow_option, json_option
from undermesh.cli.paint import Tone
from undermesh.cli.records import Listing, follow_json
from undermesh.cli.table import Cell, Column
from undermesh.client import Filter
from undermesh.wire.samples import SampleRow


@click.command(short_help="Single requests: errors first, then the slow ones.")
@click.option("-w", "--workload", help="Requests with this workload at one end.")
@click.option("--peer", help="… and this one, or this address, at the other.")
@click.option("--port", type=click.IntRange(1, 65535), help="The server's port.")
@click.option("--errors", is_flag=True, help="Only status 500 or more, or cut.")
@click.option("--slow", is_flag=True, help="Only the slow tail.")
@click.option("--last", type=click.IntRange(min=1), default=100, help="At most so many (100).")
@follow_option
@json_option
@agent_options
def tap(
    workload: str | None,
    peer: str | None,
    port: int | None,
    errors: bool,
    slow: bool,
    last: int,
    follow: bool,
    as_json: bool,
    **where: str | None,
) -> None:
    """Single requests, newest last: a bounded sample, errors first, then the slow tail.

    Every request is counted in `top`; here are the ones worth a look. Paths are without their
    query unless the agent was started with --keep-query.
    """
    if errors and slow:
        raise click.UsageError("--errors and --slow exclude each other")
    narrow = Filter(
        workload=workload,
        peer=peer,
        port=port,
        kind="error" if errors else "slow" if slow else None,
        limit=last,
    )
    with agent() as client:
        if follow:
            rows = client.follow_samples(narrow)
            follow_json(rows) if as_json else LISTING.follow(rows)
            return
        answer = client.samples(narrow)
    answer.samples = answer.samples[-last:]
    output.print_json(answer) if as_json else LISTING.print(answer.samples)


def _cells(row: SampleRow) -> list[Cell]:
    status = str(row.status) if row.status else "cut"
    return [
        Cell(units.clock(row.time), "dim"),
        Cell(title(row.client, row.client_namespace), "cyan"),
        Cell(title(row.server, row.server_namespace), "bold"),
        Cell(str(row.port), "dim"),
        Cell(status, _status_tone(row.status)),
        Cell(units.milliseconds(row.duration_ms), "yellow" if row.kind == "slow" else "plain"),
        Cell(row.method),
        Cell(row.path),
    ]


def _status_tone(status: int) -> Tone:
    if status == 0 or status >= 500:
        return "red"
    return "yellow" if status >= 400 else "green"


LISTING: Listing[SampleRow] = Listing(
    columns=(
        Column(title="TIME"),
        Column(title="CLIENT", elastic=True),
        Column(title="SERVER", elastic=True),
        Column(title="PORT", side="right", weight=10),
        Column(title="STATUS", side="right"),
        Column(title="TOOK", side="right"),
        Column(title="METHOD"),
        Column(title="PATH", elastic=True),
    ),
    cells=_cells,
    nothing="no sampled requests fit; what comes next is shown by `undermesh tap --follow`",
)
