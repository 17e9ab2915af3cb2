# SPDX-License-Identifier: Apache-2.0
"""A figure, what it is compared with, and the bar it must hold."""

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

WIDTH = 100

Bound = Literal["≥", "≤", "=", "±"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What a figure must be: `bound` says from which side, in the unit of the figure; with "±" it
    may be so far from the peer's."""

    bound: Bound
    figure: float

    def holds(self, ours: float, theirs: float | None = None) -> bool:
        """Whether `ours` is on the right side; the bar itself is."""
        match self.bound:
            case "≥":
                return ours >= self.figure
            case "≤":
                return ours <= self.figure
            case "=":
                return ours == self.figure
            case "±":
                return theirs is not None and abs(ours - theirs) <= self.figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. `theirs` is the peer's, in the same unit; `how` is for people: the spread, and
    over what it was taken."""

    name: str
    ours: float
    unit: str
    peer: str | None = None
    theirs: float | None = None
    bar: Bar | None = None
    how: str = ""

    @property
    def ratio(self) -> float | None:
        """ours / theirs; None where there is nothing to divide by."""
        if self.theirs is None or self.theirs == 0:
            return None
        return self.ours / self.theirs

    @property
    def holds(self) -> bool:
        """Whether the bar holds; a figure without one always does."""
        return self.bar is None or self.bar.holds(self.ours, self.theirs)

    def as_json(self) -> dict[str, object]:
        """The documented shape; `bar` and `holds` only where there is a bar."""
        row: dict[str, object] = {
            "name": self.name,
            "ours": _short(self.ours),
            "unit": self.unit,
            "peer": self.peer,
            "theirs": None if self.theirs is None else _short(self.theirs),
            "ratio": None if self.ratio is None else float(f"{self.ratio:.6g}"),
        }
        if self.bar is not None:
            row |= {"bar": _short(self.bar.figure), "holds": self.holds}
        return row


def document(rows: Iterable[Row]) -> str:
    """The rows as a JSON list, one row a line."""
    lines = (json.dumps(row.as_json(), ensure_ascii=False) for row in rows)
    return "[\n" + ",\n".join(lines) + "\n]"


def table(rows: Sequence[Row], *, notes: Sequence[str] = ()) -> str:
    """The rows as a table of at most 100 columns, each with how it was taken below it."""
    head = ("", "OURS", "", "THEIRS", "RATIO", "BAR", "")
    cells = [head, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(head, widths)]
    for row, texts in zip(rows, cells[1:], strict=True):
        lines.append(_line(texts, widths))
        lines += textwrap.wrap(
            _compared(row), WIDTH, initial_indent="    ", subsequent_indent="    "
        )
    failed = [row.name for row in rows if not row.holds]
    barred = sum(row.bar is not None for row in rows)
    lines += ["", *_wrapped(notes)]
    if failed:
        lines += _wrapped([f"{len(failed)} of {barred} bars do not hold: {'; '.join(failed)}"])
    else:
        lines.append(f"bars that hold: all {barred}" if barred else "no bar is set for these")
    return "\n".join(lines)


def number(figure: float) -> str:
    """For people: 1,234,567; 12.3; 0.987."""
    if figure == int(figure) and abs(figure) < 1e15:
        return f"{int(figure):,}"
    if abs(figure) >= 1000:
        return f"{figure:,.0f}"
    if abs(figure) >= 10:
        return f"{figure:.1f}"
    return f"{figure:.3f}"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        number(row.ours),
        row.unit,
        "" if row.theirs is None else number(row.theirs),
        "" if row.ratio is None else f"{row.ratio:.3f}",
        "" if row.bar is None else f"{row.bar.bound} {number(row.bar.figure)}",
        "" if row.bar is None else ("holds" if row.holds else "FAILS"),
    )


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    sides = "<><>>><"
    cells = (f"{t:{s}{w}}" for t, s, w in zip(texts, sides, widths, strict=True))
    return "  ".join(cells).rstrip()


def _compared(row: Row) -> str:
    against = f"theirs: {row.peer}. " if row.peer is not None and row.theirs is not None else ""
    return against + row.how


def _wrapped(paragraphs: Iterable[str]) -> list[str]:
    lines: list[str] = []
    for paragraph in paragraphs:
        lines += [*textwrap.wrap(paragraph, WIDTH), ""]
    return lines


def _short(figure: float) -> float | int:
    """Counts stay whole; other figures keep six digits."""
    return int(figure) if figure == int(figure) else float(f"{figure:.6g}")
