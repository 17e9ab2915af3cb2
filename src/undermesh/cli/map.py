# SPDX-License-Identifier: Apache-2.0
"""`undermesh map`: who calls whom, as a picture, or as text other tools draw."""

from __future__ import annotations

from collections.abc import Sequence

import click

from undermesh.cli import diagrams, edges, graph, output, picture, tree, units
from undermesh.cli.options import agent, agent_options, duration
from undermesh.cli.paint import Paint, paint_for
from undermesh.wire.edges import EdgeRow


@click.command(name="map", short_help="The same as a graph.")
@click.option("--window", type=duration, default="10s", help="Look back this long (10s).")
@click.option("--total", is_flag=True, help="Traffic since the last `down`, not in a window.")
@click.option("-n", "--namespace", help="Edges with an end in this namespace.")
@click.option("-w", "--workload", help="Edges with this workload at one end.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "tree", "json", "dot", "mermaid"]),
    default="text",
    help="text is drawn left to right where it fits, else as a tree.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@agent_options
def map_(
    window: float,
    total: bool,
    namespace: str | None,
    workload: str | None,
    form: str,
    as_json: bool,
    **where: str | None,
) -> None:
    """Who calls whom, as a graph.

    \b
    Draw it elsewhere:  undermesh map --format dot | dot -Tsvg > map.svg
    """
    choice = edges.Choice(sort="bytes", namespace=namespace, workload=workload)
    with agent() as client:
        answer = client.graph(window=None if total else window, total=total)
    rows = edges.select(answer.edges, choice)
    ends = {(r.client_namespace, r.client) for r in rows}
    ends |= {(r.server_namespace, r.server) for r in rows}
    nodes = [node for node in answer.nodes if (node.namespace, node.name) in ends]
    match "json" if as_json else form:
        case "json":
            answer.nodes, answer.edges = nodes, rows
            output.print_json(answer)
        case "dot":
            output.print_lines(diagrams.dot(nodes, rows))
        case "mermaid":
            output.print_lines(diagrams.mermaid(nodes, rows))
        case chosen:
            width = output.line_width()
            as_tree = chosen == "tree"
            output.print_lines(text(rows, width=width, paint=paint_for(), as_tree=as_tree))


def text(
    rows: Sequence[EdgeRow], *, width: int | None, paint: Paint, as_tree: bool = False
) -> list[str]:
    """The graph for people: the picture if it fits into `width` and is not as_tree, else a tree."""
    links = graph.links(rows)
    if not links:
        return [paint("no traffic to draw; `undermesh top --total` shows what there was", "dim")]
    if not as_tree:
        plan = graph.layered(links)
        for label in (_full_label, _short_label, _no_label):
            try:
                drawn = picture.draw(plan, label=label, paint=Paint(False))
            except picture.Tangled:
                break
            if width is None or max(map(len, drawn)) <= width:
                notes = [_self_note(link) for link in plan.selves]
                return [*picture.draw(plan, label=label, paint=paint), *notes]
    return tree.draw(links, width=width, paint=paint)


def _full_label(link: graph.Link) -> picture.Label:
    """Rate and median, or what is bad about it: 210/s 4.1 ms, 90/s 4.2% err."""
    if not link.decoded:
        return picture.Label(link.protocols, "dim")
    pace = units.rate(link.rate)
    if link.errors:
        return picture.Label(f"{pace} {units.share(link.errors, link.requests)} err", "red")
    return picture.Label(f"{pace} {units.milliseconds(link.p50_ms)}", "plain")


def _short_label(link: graph.Link) -> picture.Label:
    if not link.decoded:
        return picture.Label(link.protocols, "dim")
    return picture.Label(units.rate(link.rate), "red" if link.errors else "plain")


def _no_label(link: graph.Link) -> picture.Label:
    return picture.Label("", "red" if link.errors else "dim")


def _self_note(link: graph.Link) -> str:
    return f"{link.client} also calls itself: {units.rate(link.rate)}"
