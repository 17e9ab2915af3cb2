# SPDX-License-Identifier: Apache-2.0
"""`undermesh run`: a command as a named workload, in a cgroup of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
from pathlib import Path

import click

from undermesh.cli import launch
from undermesh.cli.options import agent, agent_options
from undermesh.cli.outcome import Refusal
from undermesh.client import Client, ClientError
from undermesh.wire.workloads import Registered


@click.command(
    short_help="Run a command as a named workload of its own.",
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
)
@click.option("--name", help="The workload's name (the command's own name).")
@click.option("-n", "--namespace", default="default", help="Its namespace (default).")
@click.option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="May repeat.")
@click.option("--user", help="Run the command as this user.")
@agent_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD…")
def run(
    name: str | None,
    namespace: str,
    labels: tuple[str, ...],
    user: str | None,
    command: tuple[str, ...],
    **where: str | None,
) -> int:
    """Runs CMD in a cgroup of its own, seen everywhere under its NAME.

    Signals are passed on; the exit code is CMD's, 128 + n when signal n ended it, 127 when there
    is no such command, 126 when it may not be executed, 3 when no agent answers.

    \b
    sudo undermesh run --name web -l tier=front -- nginx -g 'daemon off;'
    """
    account = _account(user)
    pairs = _labels(labels)
    with agent() as client:
        group = client.register(
            namespace=namespace, name=name or _name_of(command[0]), labels=pairs
        )
        client.close()  # the agent may come and go while the command runs
        try:
            return launch.launch(command, cgroup=Path(group.cgroup), account=account)
        finally:
            _give_back(client, group)


def _give_back(client: Client, group: Registered) -> None:
    """The cgroup goes with the command; without an agent we remove it ourselves. What the command
    left running in it keeps it until that ends, too."""
    with contextlib.suppress(ClientError):
        client.unregister(group.id)
    with contextlib.suppress(OSError):
        Path(group.cgroup).rmdir()


def _name_of(command: str) -> str:
    """`/usr/bin/python3.11` → `python3-11`: a DNS label (RFC 1123)."""
    label = re.sub(r"[^a-z0-9]+", "-", Path(command).name.lower()).strip("-")
    return label[:63] or "command"


def _labels(given: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for entry in given:
        key, separator, value = entry.partition("=")
        if not separator or not key:
            raise click.BadParameter(f"{entry!r} is not KEY=VALUE", param_hint="--label")
        pairs[key] = value
    return pairs


def _account(user: str | None) -> launch.Account | None:
    if user is None:
        return None
    try:
        found = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        raise click.BadParameter(f"there is no user {user!r}", param_hint="--user") from None
    if os.geteuid() != 0:
        raise Refusal("only root may run a command as another user", hint="use sudo")
    return launch.Account(name=found.pw_name, uid=found.pw_uid, gid=found.pw_gid)
