# SPDX-License-Identifier: Apache-2.0
"""`undermesh explain`: where a connection to a name goes, and why."""

from __future__ import annotations

import click

from undermesh.cli import output, units
from undermesh.cli.options import agent, agent_options, json_option
from undermesh.cli.outcome import ANSWER_IS_NO
from undermesh.cli.paint import Tone
from undermesh.cli.records import Listing
from undermesh.cli.table import Cell, Column
from undermesh.wire.explain import BackendRow, Explained, PortRow


@click.command(short_help="Where a connection to a name goes, and why.")
@click.argument("name", metavar="NAME[:PORT]")
@json_option
@agent_options
@click.pass_context
def explain(ctx: click.Context, /, name: str, as_json: bool, **where: str | None) -> None:
    """Where a connection to NAME goes: its service, the backends, and the state each is in.

    NAME is what an application says (cart, cart.shop, cart.shop.svc.mesh) or a service's address.
    Exits with 1 when a port has no backend that may be used.
    """
    to, port = _split(name)
    with agent() as client:
        answer = client.explain(to, port)
    if as_json:
        output.print_json(answer)
    else:
        _print(answer)
    if not answer.answers:
        ctx.exit(ANSWER_IS_NO)


def _split(name: str) -> tuple[str, int | None]:
    """cart:80 and [fd00::1]:80; a bare IPv6 address has colons of its own."""
    head, colon, tail = name.rpartition(":")
    if colon and tail.isdigit() and (head.count(":") == 0 or head.endswith("]")):
        return head, int(tail)
    return name, None


def _print(found: Explained) -> None:
    click.echo(f"{found.name}  namespace {found.namespace}  {found.origin}".rstrip())
    click.echo(f"  names      {', '.join(found.names)}")
    if found.external:
        click.echo(f"  stands for {' → '.join(found.external)}")
    elif found.headless:
        click.echo("  headless   names answer with the endpoints; nothing is balanced")
    else:
        click.echo(f"  addresses  {', '.join(found.addresses) or 'none'}")
        click.echo(f"  balancing  {found.balancing}, locality {found.locality}")
    for problem in found.problems:
        click.echo(f"  problem    {problem}")
    for port in found.ports:
        click.echo()
        click.echo(_headline(port))
        BACKENDS.print(port.backends)
        for why in port.elsewhere:
            click.echo(f"  elsewhere  refused at once: {why}")


def _headline(port: PortRow) -> str:
    name = f" ({port.name})" if port.name else ""
    said = f"port {port.port}/{port.protocol}{name} → {port.target}: "
    if port.refused:
        return said + "refused at once: " + "; ".join(port.refused)
    return said + f"{port.usable} of {len(port.backends)} backends are used"


def _cells(row: BackendRow) -> list[Cell]:
    tone: Tone = "bold" if row.usable else "dim"
    host = f"[{row.address}]" if ":" in row.address else row.address
    return [
        Cell(f"{host}:{row.port}", tone),
        Cell(row.state, tone),
        Cell(row.target or units.NONE, "dim"),
        Cell(row.zone or row.node or units.NONE, "dim"),
        Cell(str(row.weight)),
        Cell(units.count(row.open)),
        Cell(units.count(row.connects)),
        Cell(units.count(row.failures)),
        Cell(units.count(row.requests)),
        Cell(units.count(row.errors)),
        Cell(f"{row.ewma_ms:.3g} ms" if row.ewma_ms else units.NONE),
    ]


BACKENDS: Listing[BackendRow] = Listing(
    columns=(
        Column(title="BACKEND"),
        Column(title="STATE", elastic=True, least=12),
        Column(title="STANDS FOR", weight=40, elastic=True, least=8),
        Column(title="ZONE", weight=30),
        Column(title="WEIGHT", side="right", weight=20),
        Column(title="OPEN", side="right", weight=70),
        Column(title="CONN", side="right", weight=60),
        Column(title="FAIL", side="right", weight=60),
        Column(title="REQ", side="right", weight=50),
        Column(title="ERR", side="right", weight=50),
        Column(title="EWMA", side="right", weight=30),
    ),
    cells=_cells,
    nothing="  nobody answers for this port: no endpoint is listed and no workload is selected",
)
