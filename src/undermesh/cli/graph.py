# SPDX-License-Identifier: Apache-2.0
"""Edges as a directed graph in layers: callers left, those they call to the right of them.

Layering after Sugiyama, Tagawa and Toda (1981): cycles are opened by turning back edges around,
every node stands one layer right of its farthest caller, long edges pass through a bend in each
layer between, and nodes are ordered within a layer by the mean place of their neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from undermesh.cli.edges import counts_requests, title
from undermesh.wire.edges import EdgeRow

_SWEEPS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Link:
    """All rows between two nodes, as one arrow."""

    client: str
    server: str
    rows: tuple[EdgeRow, ...]

    @property
    def rate(self) -> float:
        """Requests a second; connections a second where none of the rows is decoded."""
        decoded = [row.rate for row in self.rows if counts_requests(row)]
        return sum(decoded) if decoded else sum(row.rate for row in self.rows)

    @property
    def decoded(self) -> bool:
        return any(counts_requests(row) for row in self.rows)

    @property
    def requests(self) -> int:
        return sum(row.requests for row in self.rows)

    @property
    def errors(self) -> int:
        return sum(row.errors for row in self.rows)

    @property
    def octets(self) -> int:
        return sum(row.rx_bytes + row.tx_bytes for row in self.rows)

    @property
    def p99_ms(self) -> float | None:
        """The worst of the rows: percentiles of several do not add up."""
        return max((row.p99_ms for row in self.rows if row.p99_ms is not None), default=None)

    @property
    def p50_ms(self) -> float | None:
        return max((row.p50_ms for row in self.rows if row.p50_ms is not None), default=None)

    @property
    def protocols(self) -> str:
        return "+".join(sorted({row.protocol for row in self.rows}))


@dataclass(slots=True, kw_only=True, eq=False)
class Place:
    """A node in a layer, or (`name` is None) a bend of an edge that passes through."""

    name: str | None
    left: list[Place] = field(default_factory=list, repr=False)
    right: list[Place] = field(default_factory=list, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An edge through the layers, left to right; `turned` when the arrow points left."""

    link: Link
    turned: bool
    stops: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layered:
    """Where everything stands: `layers` from left to right, each from top to bottom."""

    layers: tuple[tuple[Place, ...], ...]
    routes: tuple[Route, ...]
    selves: tuple[Link, ...]


def links(rows: Sequence[EdgeRow]) -> list[Link]:
    """One link per pair of ends, busiest first. `world` as a client and as a server are two
    places: what comes in and what goes out have nothing to do with each other."""
    pairs: dict[tuple[str, str], list[EdgeRow]] = {}
    for row in rows:
        server = title(row.server, row.server_namespace)
        client = title(row.client, row.client_namespace)
        if server in ("world", "host"):
            server = f"{server} "  # reads the same, is another node
        pairs.setdefault((client, server), []).append(row)
    found = [Link(client=c, server=s, rows=tuple(rows)) for (c, s), rows in pairs.items()]
    found.sort(key=lambda link: (-link.octets, link.client, link.server))
    return found


def layered(all_links: Sequence[Link]) -> Layered:
    """A drawing plan for `all_links`."""
    selves = tuple(link for link in all_links if link.client == link.server)
    between = [link for link in all_links if link.client != link.server]
    turned = _back_edges(between)
    ranks = _ranks(between, turned)
    layers: list[list[Place]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    places = {name: Place(name=name) for name in ranks}
    for name, rank in ranks.items():
        layers[rank].append(places[name])
    routes = [_route(link, link in turned, ranks, places, layers) for link in between]
    _order(layers)
    return Layered(
        layers=tuple(tuple(layer) for layer in layers), routes=tuple(routes), selves=selves
    )


def roots(all_links: Sequence[Link]) -> list[str]:
    """Nodes nobody calls; of a graph that is all cycle, its busiest client."""
    servers = {link.server for link in all_links}
    clients = [link.client for link in all_links]
    found = [name for name in dict.fromkeys(clients) if name not in servers]
    return found or clients[:1]


def _back_edges(between: Sequence[Link]) -> set[Link]:
    """Links that close a cycle on a depth-first walk from the roots."""
    out: dict[str, list[Link]] = {}
    for link in between:
        out.setdefault(link.client, []).append(link)
    state: dict[str, str] = {}
    back: set[Link] = set()
    for start in [*roots(between), *out]:
        if start in state:
            continue
        state[start] = "open"
        stack = [(start, iter(out.get(start, ())))]
        while stack:
            name, rest = stack[-1]
            onward = next(rest, None)
            if onward is None:
                state[name] = "done"
                stack.pop()
            elif state.get(onward.server) == "open":
                back.add(onward)
            elif onward.server not in state:
                state[onward.server] = "open"
                stack.append((onward.server, iter(out.get(onward.server, ()))))
    return back


def _ranks(between: Sequence[Link], turned: set[Link]) -> dict[str, int]:
    """Layer of every node: one right of its farthest caller (longest path)."""
    arrows = [(k.server, k.client) if k in turned else (k.client, k.server) for k in between]
    ranks = dict.fromkeys((name for arrow in arrows for name in arrow), 0)
    for _ in range(len(ranks)):
        moved = False
        for left, right in arrows:
            if ranks[right] <= ranks[left]:
                ranks[right] = ranks[left] + 1
                moved = True
        if not moved:
            break
    return ranks


def _route(
    link: Link,
    turned: bool,
    ranks: Mapping[str, int],
    places: Mapping[str, Place],
    layers: list[list[Place]],
) -> Route:
    """The stops of a link, with a new bend in every layer it passes."""
    first, last = (link.server, link.client) if turned else (link.client, link.server)
    stops = [places[first]]
    for rank in range(ranks[first] + 1, ranks[last]):
        bend = Place(name=None)
        layers[rank].append(bend)
        stops.append(bend)
    stops.append(places[last])
    for left, right in pairwise(stops):
        left.right.append(right)
        right.left.append(left)
    return Route(link=link, turned=turned, stops=tuple(stops))


def _order(layers: list[list[Place]]) -> None:
    """Barycentre sweeps, right then left, keeping the order with the fewest crossings."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(_SWEEPS):
        rightwards = sweep % 2 == 0
        for layer in layers if rightwards else reversed(layers):
            _sort_by_neighbours(layer, layers, rightwards)
        crossings = _crossings(layers)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layers[:] = best


def _sort_by_neighbours(layer: list[Place], layers: list[list[Place]], rightwards: bool) -> None:
    position = {id(place): i for each in layers for i, place in enumerate(each)}

    def mean(place: Place) -> float:
        beside = place.left if rightwards else place.right
        if not beside:
            return float(position[id(place)])
        return sum(position[id(other)] for other in beside) / len(beside)

    layer.sort(key=mean)


def _crossings(layers: Sequence[Sequence[Place]]) -> int:
    total = 0
    for layer, following in pairwise(layers):
        position = {id(place): i for i, place in enumerate(following)}
        ends = [
            position[id(other)]
            for place in layer
            for other in sorted(place.right, key=lambda other: position[id(other)])
        ]
        total += sum(1 for i, a in enumerate(ends) for b in ends[i + 1 :] if a > b)
    return total
