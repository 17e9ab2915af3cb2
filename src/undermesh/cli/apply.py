# SPDX-License-Identifier: Apache-2.0
"""`undermesh apply`: manifests into desired state."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from undermesh.cli import output, verdicts
from undermesh.cli.options import agent, agent_options, json_option
from undermesh.cli.paint import Tone, paint_for, safe
from undermesh.cli.progress import progress
from undermesh.cli.sources import file_option, gather, namespace_option, told
from undermesh.wire.problems import Diagnostic, Problem

if TYPE_CHECKING:
    from undermesh.wire.objects import Changed, Source

_TONES: dict[str, Tone] = {"created": "green", "configured": "yellow", "deleted": "red"}


@click.command(short_help="Store manifests, all of them or none.")
@file_option
@namespace_option
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--offline", is_flag=True, help="With --dry-run: only read them, without an agent.")
@json_option
@agent_options
def apply(
    files: tuple[str, ...],
    namespace: str,
    dry_run: bool,
    offline: bool,
    as_json: bool,
    **where: str | None,
) -> None:
    """Store manifests of any dialect: all of them, or none and every error in them.

    Kubernetes Service, Endpoints and EndpointSlice, Consul service definitions, and our own
    Service, Workload and Priority.
    """
    if not files:
        raise click.UsageError("nothing to apply: name manifests with -f")
    if offline and not dry_run:
        raise click.UsageError("--offline stores nothing: it goes with --dry-run")
    sources = gather(files)
    begun = time.monotonic()
    if offline:
        with progress(f"reading {told(sources)}"):
            answer = _offline(sources, namespace, as_json=as_json)
    else:
        doing = f"{'checking' if dry_run else 'applying'} {told(sources)}"
        with agent() as client, verdicts.judged(as_json=as_json), progress(doing):
            answer = client.desired.apply(sources, dry_run=dry_run, namespace=namespace)
    show(answer, as_json=as_json, seconds=time.monotonic() - begun, offline=offline)


def show(answer: Changed, *, as_json: bool, seconds: float, offline: bool = False) -> None:
    """One line an object, then how many, if there are several."""
    if as_json:
        output.print_json(answer)
        return
    verdicts.say(answer.diagnostics)
    paint = paint_for()
    note = " (dry run)" if answer.dry_run and not offline else ""
    lines = [
        f"{safe(f'{one.kind}/{one.namespace}/{one.name}')} "
        f"{'valid' if offline else paint(one.change, _TONES.get(one.change, 'dim'))}{note}"
        for one in answer.objects
    ]
    if len(lines) > 1:
        counts = Counter("valid" if offline else one.change for one in answer.objects)
        total = ", ".join(f"{count} {change}" for change, count in counts.items())
        lines.append(paint(f"{total}{note} in {seconds:.1f} s", "dim"))
    output.print_lines(lines or ["nothing to do"])


def _offline(sources: Sequence[Source], namespace: str, *, as_json: bool) -> Changed:
    """What the agent would check, checked here: among what is given alone."""
    from undermesh import manifests
    from undermesh.wire.objects import Changed, Outcome

    read = manifests.read([manifests.Source(one.name, one.text, namespace) for one in sources])
    found = (*read.diagnostics, *manifests.check(read.objects))
    said = [
        Diagnostic(
            key=one.field,
            message=one.message,
            allowed=[one.allowed] if one.allowed else [],
            file=one.file,
            line=one.line,
            column=one.column,
            severity=one.severity,
        )
        for one in found
    ]
    if any(one.severity == "error" for one in found):
        problem = Problem(title="Not what can be stored", status=0, diagnostics=said)
        raise verdicts.refused(problem, as_json=as_json)
    return Changed(
        revision=0,
        dry_run=True,
        objects=[
            Outcome(
                kind=one.key.kind,
                namespace=one.key.namespace,
                name=one.key.name,
                change="unchanged",
            )
            for one in read.objects
        ],
        diagnostics=said,
    )
