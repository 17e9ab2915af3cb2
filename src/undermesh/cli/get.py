# SPDX-License-Identifier: Apache-2.0
"""`undermesh get`: what is stored."""

from __future__ import annotations

import click

from undermesh.cli import output, units
from undermesh.cli.names import complete_kind, refs
from undermesh.cli.options import agent, agent_options, json_option
from undermesh.cli.outcome import Refusal
from undermesh.cli.records import Listing
from undermesh.cli.table import Cell, Column
from undermesh.client import Client
from undermesh.wire.objects import ObjectRow, Objects, Ref


@click.command(short_help="What is stored: services, endpoints, workloads.")
@click.argument(
    "objects", nargs=-1, shell_complete=complete_kind, metavar="[KIND | KIND/NAME | KIND NAME…]"
)
@click.option("-n", "--namespace", metavar="NAME", help="Only this namespace.")
@click.option(
    "-o",
    "--output",
    "format_",
    type=click.Choice(["table", "yaml", "json"]),
    default="table",
    help="yaml is what was applied, and can be applied again.",
)
@json_option
@agent_options
def get(
    objects: tuple[str, ...],
    namespace: str | None,
    format_: str,
    as_json: bool,
    **where: str | None,
) -> None:
    """What is stored: all of it, of one kind (`svc`, `ep`, `wl`, `svc,ep`), or one (`svc/cart`)."""
    named = refs(objects, namespace)
    with agent() as client:
        answer = _asked(client, named or [Ref(kind="all", namespace=namespace or "", name="")])
    if as_json or format_ == "json":
        output.print_json(answer)
    elif format_ == "yaml":
        output.write(_yaml(answer.objects))
    else:
        LISTING.print(answer.objects)


def _asked(client: Client, named: list[Ref]) -> Objects:
    """All that is named, each object once. Raises Refusal for a name nothing has."""
    found: dict[tuple[str, str, str], ObjectRow] = {}
    missing: list[str] = []
    answer = Objects(revision=0, objects=[])
    for one in named:
        answer = client.desired.objects(kind=one.kind, namespace=one.namespace, name=one.name)
        found.update(((row.kind, row.namespace, row.name), row) for row in answer.objects)
        if one.name and not answer.objects:
            missing.append(f"{one.kind}/{one.name}")
    if missing:
        what = "is" if len(missing) == 1 else "are"
        raise Refusal(f"{', '.join(missing)} {what} not stored", hint="`undermesh get` lists all")
    answer.objects = list(found.values())
    return answer


def _yaml(rows: list[ObjectRow]) -> str:
    from undermesh.manifests.written import written

    return "---\n".join(written(row.object) for row in rows)


def _cells(row: ObjectRow) -> list[Cell]:
    return [
        Cell(row.kind),
        Cell(row.namespace),
        Cell(row.name, "bold"),
        Cell(row.problem, "red") if row.problem else Cell(row.summary or units.NONE),
        Cell(units.age(row.changed)),
        Cell(row.origin or units.NONE, "dim"),
    ]


LISTING: Listing[ObjectRow] = Listing(
    columns=(
        Column(title="KIND"),
        Column(title="NAMESPACE", weight=70),
        Column(title="NAME", elastic=True),
        Column(title="WHAT", weight=60, elastic=True, least=10),
        Column(title="CHANGED", side="right", weight=50),
        Column(title="ORIGIN", weight=20, elastic=True, least=12),
    ),
    cells=_cells,
    nothing="nothing is stored: `undermesh apply -f FILE` does that",
)
