# SPDX-License-Identifier: Apache-2.0
"""What an agent says of manifests: errors one a line, and how the command ends then."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator

import click
import msgspec

from undermesh.cli import output
from undermesh.cli.outcome import ANSWER_IS_NO, Refusal
from undermesh.cli.paint import paint_for, safe
from undermesh.client import RequestRefused
from undermesh.wire.problems import Diagnostic, Problem

INVALID = 422
MOST_WARNINGS = 20


@contextlib.contextmanager
def judged(*, as_json: bool, code: int = ANSWER_IS_NO) -> Iterator[None]:
    """Turns a no to manifests into lines on stderr, or with `as_json` an object on stdout, and the
    exit code `code`; other refusals are passed on."""
    try:
        yield
    except RequestRefused as error:
        if error.status != INVALID:
            raise
        problem = msgspec.json.decode(error.payload, type=Problem)
        raise refused(problem, as_json=as_json, code=code) from error


def refused(problem: Problem, *, as_json: bool, code: int = ANSWER_IS_NO) -> Refusal:
    """The same for a problem found here."""
    errors = [one for one in problem.diagnostics if one.severity != "warning"]
    if as_json:
        output.print_json(problem)
    else:
        say(problem.diagnostics)
    files = len({one.file for one in errors})
    count = f"{len(errors)} error{'s' if len(errors) != 1 else ''}"
    return Refusal(
        f"{count} in {files} file{'s' if files != 1 else ''}",
        hint="nothing was changed",
        code=code,
    )


def say(diagnostics: Iterable[Diagnostic]) -> None:
    """One a line on stderr: `file:line:column: field: message; allowed`. Of warnings the first."""
    paint = paint_for(sys.stderr)
    warnings = 0
    lines: list[str] = []
    for one in diagnostics:
        if one.severity != "warning":
            lines.append(safe(sentence(one)))
            continue
        warnings += 1
        if warnings <= MOST_WARNINGS:
            lines.append(paint("warning: ", "yellow") + safe(sentence(one)))
    if warnings > MOST_WARNINGS:
        more = f"{warnings - MOST_WARNINGS} more (--json has all)"
        lines.append(paint("warning: ", "yellow") + more)
    if lines:
        click.echo("\n".join(lines), err=True)


def sentence(one: Diagnostic) -> str:
    """A diagnostic as text."""
    where = f"{one.file}:{one.line}:{one.column}" if one.file else ""
    text = ": ".join(part for part in (where, one.key, one.message) if part)
    return f"{text}; {', '.join(one.allowed)}" if one.allowed else text
