# SPDX-License-Identifier: Apache-2.0
"""`undermesh flows`: connections live, ended and failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from undermesh.cli import output, units
from undermesh.cli.edges import title
from undermesh.cli.options import agent, agent_options, duration, follow_option, json_option
from undermesh.cli.paint import Tone
from undermesh.cli.records import Listing, follow_json
from undermesh.cli.table import Cell, Column
from undermesh.client import Filter
from undermesh.wire.flows import FlowRow

_STATE_TONES: dict[str, Tone] = {"open": "green", "closed": "dim", "failed": "red"}


@click.command(short_help="Connections: live, ended and failed.")
@click.option("-w", "--workload", help="Flows with this workload at one end.")
@click.option("--peer", help="… and this one, or this address, at the other.")
@click.option("--port", type=click.IntRange(1, 65535), help="The server's port.")
@click.option("--protocol", help="http, http2, tls, tcp, udp or dns.")
@click.option("--state", type=click.Choice(["open", "closed", "failed"]))
@click.option("--since", type=duration, help="Not older than this: 30s, 5m.")
@click.option("--last", type=click.IntRange(min=1), default=100, help="At most so many (100).")
@follow_option
@json_option
@agent_options
def flows(
    workload: str | None,
    peer: str | None,
    port: int | None,
    protocol: str | None,
    state: str | None,
    since: float | None,
    last: int,
    follow: bool,
    as_json: bool,
    **where: str | None,
) -> None:
    """Connections, newest last: live ones, ended ones, and attempts that failed."""
    narrow = Filter(
        workload=workload, peer=peer, port=port, protocol=protocol, state=state, limit=last
    )
    with agent() as client:
        if follow:
            rows = client.follow_flows(narrow)
            follow_json(rows) if as_json else LISTING.follow(rows)
            return
        answer = client.flows(narrow)
    if since is not None:
        answer.flows = [row for row in answer.flows if _newer(row, since)]
    answer.flows = answer.flows[-last:]
    output.print_json(answer) if as_json else LISTING.print(answer.flows)


def _newer(row: FlowRow, seconds: float) -> bool:
    moment = units.parse_time(row.time)
    return moment is None or datetime.now(UTC) - moment <= timedelta(seconds=seconds)


def _cells(row: FlowRow) -> list[Cell]:
    server = title(row.server, row.server_namespace)
    if row.sni and row.sni != row.server:
        server = f"{server} ({row.sni})"
    return [
        Cell(units.clock(row.time), "dim"),
        Cell(
            row.state if not row.reset else f"{row.state}/rst", _STATE_TONES.get(row.state, "plain")
        ),
        Cell(title(row.client, row.client_namespace), "cyan"),
        Cell(server, "bold"),
        Cell(_address(row.server_address, row.server_port)),
        Cell(row.protocol),
        Cell(units.milliseconds(row.duration_ms)),
        Cell(str(row.requests) if row.protocol == "http" else ""),
        Cell(units.size(row.tx_bytes)),
        Cell(units.size(row.rx_bytes)),
        Cell(units.microseconds(row.rtt_us), "dim"),
        Cell(str(row.retransmits), "yellow" if row.retransmits else "dim"),
        Cell(row.reason or "", "red"),
    ]


def _address(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


LISTING: Listing[FlowRow] = Listing(
    columns=(
        Column(title="TIME"),
        Column(title="STATE"),
        Column(title="CLIENT", elastic=True),
        Column(title="SERVER", elastic=True),
        Column(title="ADDRESS", weight=60, elastic=True, least=15),
        Column(title="PROTO", weight=90),
        Column(title="LASTED", side="right", weight=80),
        Column(title="REQS", side="right", weight=40),
        Column(title="SENT", side="right", weight=51),
        Column(title="GOT", side="right", weight=50),
        Column(title="RTT", side="right", weight=20),
        Column(title="RETR", side="right", weight=10),
        Column(title="WHY", weight=95),
    ),
    cells=_cells,
    nothing="no flows fit; what happens next is shown by `undermesh flows --follow`",
)
