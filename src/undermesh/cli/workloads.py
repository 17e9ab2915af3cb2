# SPDX-License-Identifier: Apache-2.0
"""`undermesh workloads`: whoever owns sockets on this host."""

from __future__ import annotations

import click

from undermesh.cli import output, units
from undermesh.cli.options import agent, agent_options, json_option
from undermesh.cli.paint import Tone
from undermesh.cli.records import Listing
from undermesh.cli.table import Cell, Column
from undermesh.wire.workloads import WorkloadRow


@click.command(short_help="Whoever owns sockets on this host.")
@click.option("-n", "--namespace", help="Only this namespace.")
@click.option("--all", "gone_too", is_flag=True, help="Those lately gone too.")
@json_option
@agent_options
def workloads(namespace: str | None, gone_too: bool, as_json: bool, **where: str | None) -> None:
    """Whoever owns sockets on this host: units, containers, pods, plain processes, `run`."""
    with agent() as client:
        answer = client.workloads()
    answer.workloads = [
        row
        for row in answer.workloads
        if (gone_too or row.gone is None) and namespace in (None, row.namespace)
    ]
    output.print_json(answer) if as_json else LISTING.print(answer.workloads)


def _cells(row: WorkloadRow) -> list[Cell]:
    tone: Tone = "bold" if row.gone is None else "dim"
    labels = ",".join(f"{key}={value}" for key, value in row.labels.items())
    life = f"gone {units.age(row.gone)} ago" if row.gone else units.age(row.started)
    return [
        Cell(row.namespace),
        Cell(row.name, tone),
        Cell(row.kind),
        Cell(str(row.identity or units.NONE), "dim"),
        Cell(str(len(row.pids))),
        Cell(life),
        Cell(row.exe or units.NONE, "dim"),
        Cell(row.cgroup or units.NONE, "dim"),
        Cell(labels, "dim"),
    ]


LISTING: Listing[WorkloadRow] = Listing(
    columns=(
        Column(title="NAMESPACE", weight=70),
        Column(title="NAME", elastic=True),
        Column(title="KIND"),
        Column(title="IDENTITY", side="right", weight=30),
        Column(title="PIDS", side="right", weight=60),
        Column(title="AGE", side="right"),
        Column(title="EXE", weight=50, elastic=True, least=8),
        Column(title="CGROUP", weight=40, elastic=True, least=16),
        Column(title="LABELS", weight=20, elastic=True, least=10),
    ),
    cells=_cells,
    nothing="no workload has a socket yet",
)
