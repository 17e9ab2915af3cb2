# SPDX-License-Identifier: Apache-2.0
"""A layered graph drawn with box characters.

    ┌──────┐             ┌──────┐            ┌─────────┐
    │ load ├─ 400/s ────▶│ edge ├─ 210/s ───▶│ catalog │
    └──────┘             │      ├─ 90/s ─┐   └─────────┘
                         └──────┘        │   ┌──────┐
                                         └──▶│ cart │
                                             └──────┘

Every edge has a row of its own at both of its ends and a column of its own between, so no two
lines ever share a stretch. Where two cross, the upright one passes over.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from undermesh.cli.canvas import Canvas
from undermesh.cli.graph import Layered, Link, Place, Route
from undermesh.cli.paint import Paint, Tone, safe
from undermesh.cli.table import elide

NAME_WIDTH = 20
_TANGLED = sys.maxsize


class Tangled(Exception):
    """The lines between two layers cannot be drawn without running over each other."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is written on an edge."""

    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class _Segment:
    """A route between two neighbouring layers."""

    route: Route
    left: Place
    right: Place
    first: bool
    last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """Where a place is drawn; ports are the rows its segments start and end on."""

    top: int
    height: int
    in_rows: Mapping[int, int]
    out_rows: Mapping[int, int]

    def moved(self, rows: int) -> _Box:
        return _Box(
            top=self.top + rows,
            height=self.height,
            in_rows={key: row + rows for key, row in self.in_rows.items()},
            out_rows={key: row + rows for key, row in self.out_rows.items()},
        )


def draw(plan: Layered, *, label: Callable[[Link], Label], paint: Paint) -> list[str]:
    """The picture of `plan`, line by line, as wide as it needs to be. Raises `Tangled`."""
    segments = _segments(plan)
    boxes = _boxes(plan, segments)
    canvas = Canvas()
    column = 0
    for rank, layer in enumerate(plan.layers):
        width = _layer_width(layer)
        for place in layer:
            _draw_place(canvas, place, boxes[id(place)], column, width)
        column += width
        if rank + 1 < len(plan.layers):
            column = _draw_channel(canvas, segments[rank], boxes, column, label)
    return canvas.lines(paint)


def _segments(plan: Layered) -> list[list[_Segment]]:
    """Per gap between two layers, what crosses it."""
    rank_of = {id(p): rank for rank, layer in enumerate(plan.layers) for p in layer}
    gaps: list[list[_Segment]] = [[] for _ in plan.layers[1:]]
    for route in plan.routes:
        for i, (left, right) in enumerate(pairwise(route.stops)):
            last = i == len(route.stops) - 2
            gaps[rank_of[id(left)]].append(_Segment(route, left, right, i == 0, last))
    return gaps


def _boxes(plan: Layered, gaps: Sequence[Sequence[_Segment]]) -> dict[int, _Box]:
    """Rows of every place and of its ports; each layer is moved up or down as a whole to where
    its lines are shortest and do not tangle. Raises `Tangled` when they always do."""
    order = {id(p): i for layer in plan.layers for i, p in enumerate(layer)}
    boxes: dict[int, _Box] = {}
    for rank, layer in enumerate(plan.layers):
        arriving = gaps[rank - 1] if rank else ()
        leaving = gaps[rank] if rank < len(gaps) else ()
        stacked = _stack(layer, arriving, leaving, order)
        if rank == 0:
            boxes.update(stacked)
            continue
        tallest = max(box.top + box.height for box in [*boxes.values(), *stacked.values()])
        shifts = sorted(range(-tallest, tallest + 1), key=abs)
        costs = {shift: _cost(arriving, boxes, stacked, shift) for shift in shifts}
        best = min(shifts, key=lambda shift: costs[shift])
        if costs[best] == _TANGLED:
            raise Tangled
        boxes.update({key: box.moved(best) for key, box in stacked.items()})
    highest = min((box.top for box in boxes.values()), default=0)
    return {key: box.moved(-highest) for key, box in boxes.items()}


def _stack(
    layer: Sequence[Place],
    arriving: Sequence[_Segment],
    leaving: Sequence[_Segment],
    order: dict[int, int],
) -> dict[int, _Box]:
    """One layer from row 0 down; the ports of a box are in the order of what they lead to."""
    boxes: dict[int, _Box] = {}
    top = 0
    for place in layer:
        ins = sorted((s for s in arriving if s.right is place), key=lambda s: order[id(s.left)])
        outs = sorted((s for s in leaving if s.left is place), key=lambda s: order[id(s.right)])
        framed = place.name is not None
        height = max(1, len(ins), len(outs)) + 2 if framed else 1
        first = top + framed
        boxes[id(place)] = _Box(
            top=top,
            height=height,
            in_rows=_spread(ins, first, max(len(ins), len(outs))),
            out_rows=_spread(outs, first, max(len(ins), len(outs))),
        )
        top += height
    return boxes


def _spread(segments: Sequence[_Segment], first: int, rows: int) -> dict[int, int]:
    """Ports in the middle of the rows there are."""
    start = first + (rows - len(segments)) // 2
    return {id(segment): start + i for i, segment in enumerate(segments)}


def _cost(
    arriving: Sequence[_Segment],
    left: dict[int, _Box],
    right: dict[int, _Box],
    shift: int,
) -> int:
    """Rows all lines between two layers climb or fall, when the right one is moved by `shift`."""
    rows = {
        id(s): (left[id(s.left)].out_rows[id(s)], right[id(s.right)].in_rows[id(s)] + shift)
        for s in arriving
    }
    try:
        tracks = _tracks(rows)
    except Tangled:
        return _TANGLED
    return sum(abs(stop - start) for start, stop in rows.values()) + 2 * len(set(tracks.values()))


def _layer_width(layer: Sequence[Place]) -> int:
    return max((min(len(p.name), NAME_WIDTH) + 4 for p in layer if p.name is not None), default=1)


def _draw_place(canvas: Canvas, place: Place, box: _Box, column: int, width: int) -> None:
    if place.name is None:
        canvas.level(box.top, column, column + width - 1, "dim")
        return
    inner = width - 2
    text = elide(safe(place.name), NAME_WIDTH)
    canvas.put(box.top, column, f"┌{'─' * inner}┐")
    for row in range(box.top + 1, box.top + box.height - 1):
        canvas.put(row, column, f"│{' ' * inner}│")
    canvas.put(box.top + (box.height - 1) // 2, column + 2, text, "bold")
    canvas.put(box.top + box.height - 1, column, f"└{'─' * inner}┘")
    for row in box.out_rows.values():
        canvas.put(row, column + width - 1, "├")


def _draw_channel(
    canvas: Canvas,
    segments: Sequence[_Segment],
    boxes: dict[int, _Box],
    column: int,
    label: Callable[[Link], Label],
) -> int:
    """The lines between two layers; returns the column the right one starts at."""
    labels = {id(s): label(s.route.link) for s in segments if s.first}
    room = max((len(entry.text) + 3 for entry in labels.values() if entry.text), default=0)
    rows = {
        id(s): (boxes[id(s.left)].out_rows[id(s)], boxes[id(s.right)].in_rows[id(s)])
        for s in segments
    }
    tracks = _tracks(rows)
    used = max(tracks.values(), default=-1) + 1
    end = column + room + 2 * used + 3
    for segment in segments:  # uprights first: level lines pass under them
        start, stop = rows[id(segment)]
        if start != stop:
            canvas.upright(column + room + 1 + 2 * tracks[id(segment)], start, stop, "dim")
    for segment in segments:
        start, stop = rows[id(segment)]
        track = column + room + 1 + 2 * tracks.get(id(segment), 0)
        if start == stop:
            canvas.level(start, column, end - 1, "dim")
        else:
            canvas.level(start, column, track - 1, "dim")
            canvas.put(start, track, "┐" if stop > start else "┘", "dim")
            canvas.put(stop, track, "└" if stop > start else "┌", "dim")
            canvas.level(stop, track + 1, end - 1, "dim")
        if segment.first and segment.route.turned:
            canvas.put(start, column, "◀")
        if segment.last and not segment.route.turned:
            canvas.put(stop, end - 1, "▶")
        if segment.first:
            entry = labels[id(segment)]
            if entry.text:
                canvas.put(start, column + 1, f" {entry.text} ", entry.tone)
    return end


def _tracks(rows: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """A column of its own for every line that changes rows (channel routing, one track a net).

    Where one line starts on the row another ends on, its upright must stand left of the other's,
    or both would run over each other. Raises `Tangled` when that goes round in a circle.
    """
    bent = {key: (start, stop) for key, (start, stop) in rows.items() if start != stop}
    starts = {start: key for key, (start, _) in bent.items()}
    tracks: dict[int, int] = {}
    taken: list[list[tuple[int, int]]] = []
    waiting = sorted(bent, key=lambda key: _steepness(bent[key]))
    while waiting:
        free = [key for key in waiting if starts.get(bent[key][1]) not in waiting]
        if not free:
            raise Tangled
        for key in free:
            before = starts.get(bent[key][1])
            floor = 0 if before is None else tracks[before] + 1
            tracks[key] = _first_free(bent[key], taken, floor)
        waiting = [key for key in waiting if key not in tracks]
    return tracks


def _steepness(rows: tuple[int, int]) -> tuple[bool, int]:
    """Lines going down turn from the lowest up, lines going up from the highest down: then
    neighbours do not cross."""
    start, stop = rows
    return (stop < start, -start if stop > start else start)


def _first_free(rows: tuple[int, int], taken: list[list[tuple[int, int]]], floor: int) -> int:
    """The first track from `floor` on where nothing touches `rows`; it is taken then."""
    low, high = min(rows), max(rows)
    index = floor
    while index < len(taken) and any(low <= b and a <= high for a, b in taken[index]):
        index += 1
    while len(taken) <= index:
        taken.append([])
    taken[index].append((low, high))
    return index
