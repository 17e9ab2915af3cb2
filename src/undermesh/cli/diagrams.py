# SPDX-License-Identifier: Apache-2.0
"""The graph in the languages of Graphviz (dot) and Mermaid."""

from __future__ import annotations

from collections.abc import Sequence

from undermesh.cli import units
from undermesh.cli.edges import counts_requests, title
from undermesh.cli.paint import safe
from undermesh.wire.edges import EdgeRow
from undermesh.wire.graph import GraphNode


def dot(nodes: Sequence[GraphNode], rows: Sequence[EdgeRow]) -> list[str]:
    """https://graphviz.org/doc/info/lang.html"""
    lines = ["digraph undermesh {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    names = _names(nodes, rows)
    for key, (identifier, label) in names.items():
        dashed = "" if key[0] else ", style=dashed"
        lines.append(f"  {identifier} [label={_dot_text(label)}{dashed}];")
    for row in rows:
        client, server = _ends(row, names)
        colour = ", color=red" if row.errors or row.failures else ""
        lines.append(f"  {client} -> {server} [label={_dot_text(_label(row))}{colour}];")
    return [*lines, "}"]


def mermaid(nodes: Sequence[GraphNode], rows: Sequence[EdgeRow]) -> list[str]:
    """https://mermaid.js.org/syntax/flowchart.html"""
    names = _names(nodes, rows)
    lines = ["flowchart LR"]
    lines += [f"  {name}[{_mermaid_text(label)}]" for name, label in names.values()]
    for row in rows:
        client, server = _ends(row, names)
        lines.append(f"  {client} -->|{_mermaid_text(_label(row))}| {server}")
    return lines


_Names = dict[tuple[str, str], tuple[str, str]]


def _names(nodes: Sequence[GraphNode], rows: Sequence[EdgeRow]) -> _Names:
    """(namespace, name) → (identifier, label); ends an older agent left out of its nodes too."""
    ends = {(node.namespace, node.name): None for node in nodes}
    for row in rows:
        ends[row.client_namespace, row.client] = None
        ends[row.server_namespace, row.server] = None
    return {
        (namespace, name): (f"n{i}", title(name, namespace))
        for i, (namespace, name) in enumerate(sorted(ends))
    }


def _ends(row: EdgeRow, names: _Names) -> tuple[str, str]:
    client = names[row.client_namespace, row.client][0]
    return client, names[row.server_namespace, row.server][0]


def _label(row: EdgeRow) -> str:
    parts = [f"{row.protocol} :{row.port}"]
    if counts_requests(row):
        parts.append(units.rate(row.rate))
        parts.append(f"p99 {units.milliseconds(row.p99_ms)}")
        if row.errors:
            parts.append(f"{units.share(row.errors, row.requests)} errors")
    elif row.failures:
        parts.append(f"{row.failures} failed")
    return " ".join(parts)


def _dot_text(text: str) -> str:
    escaped = safe(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _mermaid_text(text: str) -> str:
    """Mermaid takes HTML entities where a character means something to it."""
    escaped = safe(text).replace("&", "#amp;").replace('"', "#quot;")
    return f'"{escaped}"'
