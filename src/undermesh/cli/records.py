# SPDX-License-Identifier: Apache-2.0
"""Lists that grow: rows once as a fitted table, or followed, one line each as they come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import click

from undermesh.cli import output
from undermesh.cli.paint import paint_for
from undermesh.cli.table import Cell, Column, render
from undermesh.client import Missed

AnyRow = TypeVar("AnyRow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[AnyRow]):
    """How rows of one kind are shown: `columns`, the `cells` of a row, what an empty list says."""

    columns: Sequence[Column]
    cells: Callable[[AnyRow], Sequence[Cell]]
    nothing: str

    def print(self, rows: Sequence[AnyRow]) -> None:
        """All at once, as a table that fits."""
        paint = paint_for()
        if not rows:
            click.echo(self.nothing, err=True)
            return
        cells = [self.cells(row) for row in rows]
        output.print_lines(render(self.columns, cells, width=output.line_width(), paint=paint))

    def follow(self, rows: Iterable[AnyRow | Missed]) -> None:
        """As they come. Widths only ever grow, and the header is said once on a terminal."""
        paint = paint_for()
        least = [0] * len(self.columns)
        headed = not sys.stdout.isatty()
        if not headed:
            print("following: rows appear as they come, Ctrl-C ends", file=sys.stderr, flush=True)
        for row in _complaining(rows):
            cells = list(self.cells(row))
            least = [max(w, len(c.text)) for w, c in zip(least, cells, strict=True)]
            padded = [
                Cell(c.text.ljust(w) if col.side == "left" else c.text.rjust(w), c.tone)
                for c, w, col in zip(cells, least, self.columns, strict=True)
            ]
            lines = render(self.columns, [padded], width=output.line_width(), paint=paint)
            output.print_lines(lines[1:] if headed else lines)
            headed = True


def follow_json(rows: Iterable[object]) -> None:
    """NDJSON: one object a line."""
    for row in _complaining(rows):
        output.print_json(row)


def _complaining(rows: Iterable[AnyRow | Missed]) -> Iterator[AnyRow]:
    """Rows that did not reach us are said on stderr: nothing goes missing silently."""
    for row in rows:
        if isinstance(row, Missed):
            click.echo(f"undermesh: {row.rows} rows came faster than this could print", err=True)
        else:
            yield row
