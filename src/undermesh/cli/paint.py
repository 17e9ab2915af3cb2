# SPDX-License-Identifier: Apache-2.0
"""Colour, only where a person looks: on a terminal that has it, and not under NO_COLOR."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Literal, TextIO

from undermesh.cli.surroundings import surroundings

Tone = Literal["plain", "bold", "dim", "red", "green", "yellow", "blue", "cyan", "title"]

_CODES: dict[str, str] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "cyan": "36",
    "title": "1;4",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Paint:
    """Puts text in a tone, or leaves it alone."""

    on: bool

    def __call__(self, text: str, tone: Tone) -> str:
        if not self.on or tone == "plain" or not text:
            return text
        return f"\x1b[{_CODES[tone]}m{text}\x1b[0m"


def paint_for(stream: TextIO | None = None) -> Paint:
    """Colours where `stream` (stdout) is a terminal that shows them; https://no-color.org."""
    around = surroundings()
    wanted = not around.no_color and around.term not in ("dumb", "")
    return Paint(wanted and (stream or sys.stdout).isatty())


def safe(text: str) -> str:
    """Text from the network with control characters shown as dots: a path in a request must not
    drive the terminal of whoever watches."""
    return _CONTROL.sub("·", text)
