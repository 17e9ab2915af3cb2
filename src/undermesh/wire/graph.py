# SPDX-License-Identifier: Apache-2.0
"""GET /v1/graph: the edges, and the nodes they run between."""

from collections.abc import Iterable

from msgspec import Struct

from undermesh.model.edge import Edge, End
from undermesh.wire import SCHEMA, edges


class GraphNode(Struct, kw_only=True):
    """One end of at least one edge; `id` is what an edge's two ends come to as `ns/name`."""

    id: str
    node: str = ""
    namespace: str = ""
    name: str
    kind: str


class Graph(Struct, kw_only=True):
    schema: int = SCHEMA
    since: str
    until: str
    nodes: list[GraphNode]
    edges: list[edges.EdgeRow]


def nodes(rows: Iterable[Edge]) -> list[GraphNode]:
    """The ends of `rows`, each once, in order of name. Ends off this host carry no node."""
    found: dict[End, str] = {}
    for edge in rows:
        for end in (edge.key.client, edge.key.server):
            found[end] = edge.node if end.namespace else ""
    return [
        GraphNode(id=end.id, node=node, namespace=end.namespace, name=end.name, kind=end.kind.value)
        for end, node in sorted(found.items())
    ]
