# SPDX-License-Identifier: Apache-2.0
"""Tables that fit: names are elided in the middle as far as their columns allow (`least`); when
that is not enough, columns go, the one of least weight first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from undermesh.cli.paint import Paint, Tone, safe

GAP = "  "


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure or name, and how it is shown."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`weight` decides what goes first on a narrow terminal (0 never goes); an `elastic` column
    may be elided down to `least` characters."""

    title: str
    side: Literal["left", "right"] = "left"
    weight: int = 0
    elastic: bool = False
    least: int = 8
    marked: bool = False


def render(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    width: int | None,
    paint: Paint,
) -> list[str]:
    """The header and one line per row, none wider than `width` (None: as wide as needed)."""
    cells = [[Cell(safe(cell.text), cell.tone) for cell in row] for row in rows]
    shown, widths = fit(columns, cells, width)
    header = [Cell(_title(columns[i]), "bold" if columns[i].marked else "dim") for i in shown]
    lines = [_line(columns, shown, widths, header, paint)]
    for row in cells:
        lines.append(_line(columns, shown, widths, [row[i] for i in shown], paint))
    return lines


def fit(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None
) -> tuple[list[int], list[int]]:
    """Which columns are shown (their indexes) and how wide each of these is."""
    natural = [
        max([len(_title(column)), *(len(row[i].text) for row in rows)])
        for i, column in enumerate(columns)
    ]
    shown = list(range(len(columns)))
    if width is None:
        return shown, natural
    while _least_width(columns, natural, shown) > width:
        droppable = [i for i in shown if columns[i].weight]
        if not droppable:
            break
        shown.remove(min(droppable, key=lambda i: columns[i].weight))
    return shown, _squeeze(columns, natural, shown, width)


def elide(text: str, width: int) -> str:
    """The middle goes, because names differ at their ends: recommendations-v2 → recomm…ns-v2."""
    if len(text) <= width:
        return text
    if width <= 1:
        return text[:width]
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + text[len(text) - tail :]


def _title(column: Column) -> str:
    return f"{column.title}▾" if column.marked else column.title


def _least_width(columns: Sequence[Column], natural: Sequence[int], shown: Sequence[int]) -> int:
    total = len(GAP) * (len(shown) - 1)
    for i in shown:
        column = columns[i]
        total += min(natural[i], column.least) if column.elastic else natural[i]
    return total


def _squeeze(
    columns: Sequence[Column], natural: Sequence[int], shown: Sequence[int], width: int
) -> list[int]:
    """Takes the excess off the widest elastic column, one character at a time."""
    widths = {i: natural[i] for i in shown}
    excess = sum(widths.values()) + len(GAP) * (len(shown) - 1) - width
    while excess > 0:
        loose = [i for i in shown if columns[i].elastic and widths[i] > 1]
        if not loose:
            break
        widths[max(loose, key=lambda i: widths[i])] -= 1
        excess -= 1
    return [widths[i] for i in shown]


def _line(
    columns: Sequence[Column],
    shown: Sequence[int],
    widths: Sequence[int],
    cells: Sequence[Cell],
    paint: Paint,
) -> str:
    parts = []
    for i, width, cell in zip(shown, widths, cells, strict=True):
        text = elide(cell.text, width)
        padded = text.rjust(width) if columns[i].side == "right" else text.ljust(width)
        parts.append(padded.replace(text, paint(text, cell.tone), 1) if text.strip() else padded)
    return GAP.join(parts).rstrip()
