# SPDX-License-Identifier: Apache-2.0
"""`undermesh drops`: why the kernel threw packets away."""

from __future__ import annotations

import click

from undermesh.cli import output, units
from undermesh.cli.options import agent, agent_options, follow_option, json_option
from undermesh.cli.records import Listing, follow_json
from undermesh.cli.table import Cell, Column
from undermesh.client import Filter
from undermesh.wire.drops import DropRow


@click.command(short_help="Why the kernel threw packets away.")
@click.option("-w", "--workload", help="Packets of this workload's sockets.")
@click.option("--reason", help="One of the kernel's reasons, as NETFILTER_DROP.")
@follow_option
@json_option
@agent_options
def drops(
    workload: str | None, reason: str | None, follow: bool, as_json: bool, **where: str | None
) -> None:
    """Why the kernel threw packets away, by its own reasons (enum skb_drop_reason).

    With --follow, one row whenever a count grows, by how much it did.
    """
    narrow = Filter(workload=workload, reason=reason)
    with agent() as client:
        if follow:
            rows = client.follow_drops(narrow)
            follow_json(rows) if as_json else LISTING.follow(rows)
            return
        answer = client.drops(narrow)
    output.print_json(answer) if as_json else LISTING.print(answer.drops)


def _cells(row: DropRow) -> list[Cell]:
    return [
        Cell(units.clock(row.last), "dim"),
        Cell(row.reason, "red"),
        Cell(units.count(row.packets)),
        Cell(units.size(row.bytes)),
        Cell(row.workload or units.NONE, "bold"),
        Cell(row.protocol or units.NONE),
        Cell(str(row.port or units.NONE), "dim"),
        Cell(row.source or units.NONE),
        Cell(row.destination or units.NONE),
    ]


LISTING: Listing[DropRow] = Listing(
    columns=(
        Column(title="LAST"),
        Column(title="REASON"),
        Column(title="PACKETS", side="right"),
        Column(title="BYTES", side="right", weight=40),
        Column(title="WORKLOAD", elastic=True),
        Column(title="PROTO", weight=60),
        Column(title="PORT", side="right", weight=50),
        Column(title="FROM", weight=20, elastic=True, least=12),
        Column(title="TO", weight=30, elastic=True, least=12),
    ),
    cells=_cells,
    nothing="no packet was dropped since the last `down`",
)
