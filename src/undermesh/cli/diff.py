# SPDX-License-Identifier: Apache-2.0
"""`undermesh diff`: what applying manifests would change."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import click

from undermesh.cli import output, verdicts
from undermesh.cli.options import agent, agent_options, json_option
from undermesh.cli.outcome import ANSWER_IS_NO, DONE, WRONG_USE
from undermesh.cli.paint import Paint, Tone, paint_for, safe
from undermesh.cli.progress import progress
from undermesh.cli.sources import file_option, gather, namespace_option, told
from undermesh.wire.objects import Difference

_TONES: dict[str, Tone] = {"+": "green", "-": "red", "@": "cyan"}


@click.command(short_help="What applying manifests would change.")
@file_option
@namespace_option
@json_option
@agent_options
def diff(files: tuple[str, ...], namespace: str, as_json: bool, **where: str | None) -> int:
    """What applying manifests would change, as a unified diff of what is stored and what is given.

    Exits with 0 when nothing would change, 1 when something would, 2 when they cannot be applied.
    """
    if not files:
        raise click.UsageError("nothing to compare: name manifests with -f")
    sources = gather(files)
    judging = verdicts.judged(as_json=as_json, code=WRONG_USE)
    with agent() as client, judging, progress(f"comparing {told(sources)}"):
        answer = client.desired.diff(sources, namespace=namespace)
    if as_json:
        output.print_json(answer)
    else:
        verdicts.say(answer.diagnostics)
        paint = paint_for()
        output.print_lines(line for one in answer.objects for line in _unified(one, paint))
    return ANSWER_IS_NO if answer.objects else DONE


def _unified(one: Difference, paint: Paint) -> Iterator[str]:
    name = f"{one.kind}/{one.namespace}/{one.name}"
    lines = difflib.unified_diff(
        _lines(one.before),
        _lines(one.after),
        fromfile=f"stored {name}" if one.before is not None else "/dev/null",
        tofile=f"{one.origin} {name}",
        lineterm="",
    )
    for number, line in enumerate(lines):
        text = safe(line)
        yield paint(text, "bold" if number < 2 else _TONES.get(text[:1], "plain"))


def _lines(document: dict[str, object] | None) -> list[str]:
    from undermesh.manifests.written import written

    return [] if document is None else written(document).splitlines()
