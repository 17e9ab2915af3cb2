# SPDX-License-Identifier: Apache-2.0
"""Tables fit, whatever the terminal."""

from __future__ import annotations

import pytest

from undermesh.cli.paint import Paint
from undermesh.cli.table import Cell, Column, elide, render

COLUMNS = (
    Column(title="NAME", elastic=True),
    Column(title="RATE", side="right"),
    Column(title="BYTES", side="right", weight=2),
    Column(title="NOTE", weight=1),
)
ROWS = [
    [Cell("recommendations-v2"), Cell("12/s"), Cell("1.2 MiB"), Cell("a note")],
    [Cell("cart"), Cell("400/s"), Cell("3 KiB"), Cell("")],
]
PLAIN = Paint(False)


def test_as_wide_as_needed_for_a_pipe() -> None:
    assert render(COLUMNS, ROWS, width=None, paint=PLAIN) == [
        "NAME                 RATE    BYTES  NOTE",
        "recommendations-v2   12/s  1.2 MiB  a note",
        "cart                400/s    3 KiB",
    ]


@pytest.mark.parametrize("width", range(15, 60))
def test_never_wider_than_the_terminal(width: int) -> None:
    assert all(len(line) <= width for line in render(COLUMNS, ROWS, width=width, paint=PLAIN))


def test_names_are_elided_then_the_lightest_column_goes() -> None:
    assert render(COLUMNS, ROWS, width=34, paint=PLAIN)[1] == "recom…s-v2   12/s  1.2 MiB  a note"
    assert render(COLUMNS, ROWS, width=30, paint=PLAIN)[0] == "NAME             RATE    BYTES"
    assert render(COLUMNS, ROWS, width=20, paint=PLAIN) == [
        "NAME            RATE",
        "recomm…ons-v2   12/s",
        "cart           400/s",
    ]


@pytest.mark.parametrize(
    ("width", "text"), [(30, "recommendations"), (9, "reco…ions"), (2, "r…"), (1, "r"), (0, "")]
)
def test_elision_keeps_both_ends(width: int, text: str) -> None:
    assert elide("recommendations", width) == text


def test_control_characters_never_reach_the_terminal() -> None:
    lines = render((Column(title="PATH"),), [[Cell("/\x1b[2J\x07\n")]], width=None, paint=PLAIN)
    assert lines[1] == "/·[2J··"


def test_colours_do_not_change_the_layout() -> None:
    rows = [[Cell("web", "cyan"), Cell("1/s", "red"), Cell("1 B"), Cell("n")]]
    painted = render(COLUMNS, rows, width=None, paint=Paint(True))[1]
    assert "\x1b[36mweb\x1b[0m" in painted
    plain = painted
    for code in ("\x1b[36m", "\x1b[31m", "\x1b[0m"):
        plain = plain.replace(code, "")
    assert plain == render(COLUMNS, rows, width=None, paint=PLAIN)[1]
