# SPDX-License-Identifier: Apache-2.0
"""A sheet of characters to draw on."""

from __future__ import annotations

from itertools import groupby

from undermesh.cli.paint import Paint, Tone


class Canvas:
    """Characters with tones, addressed by row and column."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], tuple[str, Tone]] = {}

    def put(self, row: int, column: int, text: str, tone: Tone = "plain") -> None:
        for offset, character in enumerate(text):
            self._cells[row, column + offset] = (character, tone)

    def level(self, row: int, first: int, last: int, tone: Tone) -> None:
        """A level line from column `first` to `last`, under whatever is upright there."""
        for column in range(first, last + 1):
            if self._cells.get((row, column), (" ",))[0] in (" ", "─"):
                self._cells[row, column] = ("─", tone)

    def upright(self, column: int, first: int, last: int, tone: Tone) -> None:
        for row in range(min(first, last) + 1, max(first, last)):
            self._cells[row, column] = ("│", tone)

    def lines(self, paint: Paint) -> list[str]:
        height = max((row for row, _ in self._cells), default=-1) + 1
        return [self._line(row, paint) for row in range(height)]

    def _line(self, row: int, paint: Paint) -> str:
        """One row, painted in stretches of one tone."""
        width = max((column for at, column in self._cells if at == row), default=-1) + 1
        blank: tuple[str, Tone] = (" ", "plain")
        cells = [self._cells.get((row, column), blank) for column in range(width)]
        stretches = groupby(cells, key=lambda cell: cell[1])
        painted = [paint("".join(text for text, _ in run), tone) for tone, run in stretches]
        return "".join(painted).rstrip()
