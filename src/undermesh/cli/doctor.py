# SPDX-License-Identifier: Apache-2.0
"""`undermesh doctor`: whether this host has what undermesh needs. Works without an agent."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from undermesh.cli import output
from undermesh.cli.options import json_option
from undermesh.cli.outcome import ANSWER_IS_NO, DONE
from undermesh.cli.paint import Paint, Tone, paint_for, safe

if TYPE_CHECKING:
    from undermesh.host.doctor import Check

_MARKS: dict[tuple[str, bool], tuple[str, Tone]] = {
    ("yes", True): ("ok", "green"),
    ("yes", False): ("ok", "green"),
    ("no", True): ("MISSING", "red"),
    ("no", False): ("without", "yellow"),
    ("unknown", True): ("unsure", "yellow"),
    ("unknown", False): ("unsure", "dim"),
}
_MARK_WIDTH = 7
_NAME_WIDTH = 22


@click.command(short_help="Whether this host has what undermesh needs.")
@json_option
def doctor(as_json: bool) -> int:
    """Checks kernel features, mounts, capabilities, clocks and other eBPF users of this host.

    Says what each missing piece costs and what to do about it; exits 1 when a needed one is
    missing. Without root some answers are "unsure".
    """
    from undermesh.cli import kernel_facts
    from undermesh.host import doctor as examination

    checks = examination.run(
        features=kernel_facts.features(), programs=kernel_facts.foreign_programs()
    )
    missing = [check.name for check in checks if check.needed and check.ok == "no"]
    if as_json:
        rows = [dataclasses.asdict(check) for check in checks]
        output.print_json({"schema": 1, "fit": not missing, "checks": rows})
    else:
        output.print_lines(_lines(checks, missing, paint_for()))
    return ANSWER_IS_NO if missing else DONE


def _lines(checks: tuple[Check, ...], missing: list[str], paint: Paint) -> Iterator[str]:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
    for check in checks:
        mark, tone = _MARKS[check.ok, check.needed]
        head = f"{paint(mark, tone)}{' ' * (_MARK_WIDTH - len(mark))}  "
        text = [check.found]
        if check.ok == "no":
            text += [check.cost_if_missing, f"→ {check.remedy}" if check.remedy else ""]
        name = safe(check.name).ljust(_NAME_WIDTH)
        yield from _block(head, paint(name, "bold"), text, width)
    yield ""
    if missing:
        named = ", ".join(missing)
        yield paint(f"This host is not fit for undermesh: {named} missing.", "red")
    else:
        yield paint("This host is fit for undermesh.", "green")


def _block(head: str, name: str, text: list[str], width: int) -> Iterator[str]:
    """One check: its mark and name, then sentences wrapped beside them."""
    indent = _MARK_WIDTH + 2 + _NAME_WIDTH + 2
    room = max(30, width - indent)
    lines = [line for part in text for line in textwrap.wrap(safe(part), room)] or [""]
    yield f"{head}{name}  {lines[0]}".rstrip()
    for line in lines[1:]:
        yield f"{' ' * indent}{line}"
