# SPDX-License-Identifier: Apache-2.0
"""`undermesh delete`: objects out of desired state."""

from __future__ import annotations

import time

import click

from undermesh.cli import verdicts
from undermesh.cli.apply import show
from undermesh.cli.names import complete_kind, refs
from undermesh.cli.options import agent, agent_options, json_option
from undermesh.cli.progress import progress
from undermesh.cli.sources import file_option, gather


@click.command(short_help="Remove objects, by name or by manifest.")
@click.argument(
    "objects", nargs=-1, shell_complete=complete_kind, metavar="[KIND/NAME | KIND NAME…]"
)
@file_option
@click.option("-n", "--namespace", metavar="NAME", help="Namespace of what names none [default].")
@click.option("--ignore-not-found", is_flag=True, help="What is not there is no error.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@json_option
@agent_options
def delete(
    objects: tuple[str, ...],
    files: tuple[str, ...],
    namespace: str | None,
    ignore_not_found: bool,
    dry_run: bool,
    as_json: bool,
    **where: str | None,
) -> None:
    """Remove objects, by name (`svc/cart`, `svc cart pay`) or those that manifests say.

    All of them, or none if one is not there.
    """
    named = refs(objects, namespace)
    if not named and not files:
        raise click.UsageError("nothing to delete: name objects (svc/cart), or manifests with -f")
    for one in named:
        if not one.name:
            raise click.UsageError(f"which {one.kind}? name it: {one.kind}/NAME")
        one.namespace = one.namespace or "default"
    sources = gather(files)
    begun = time.monotonic()
    with agent() as client, verdicts.judged(as_json=as_json), progress("deleting"):
        answer = client.desired.delete(
            named,
            sources,
            namespace=namespace or "default",
            ignore_not_found=ignore_not_found,
            dry_run=dry_run,
        )
    show(answer, as_json=as_json, seconds=time.monotonic() - begun)
