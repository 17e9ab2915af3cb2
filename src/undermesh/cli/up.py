# SPDX-License-Identifier: Apache-2.0
"""`undermesh up` and `undermesh down`: the agent's life on this host.

The only module of the command line that reaches for the agent itself, and only when it runs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from undermesh.cli import detach, output
from undermesh.cli.options import json_option, named, where_options
from undermesh.cli.outcome import WRONG_USE, Refusal

if TYPE_CHECKING:
    from undermesh.config import Config


@click.command(short_help="Start the agent on this host.")
@click.option(
    "-d",
    "--detach",
    "in_background",
    is_flag=True,
    help="In the background; returns when it answers.",
)
@click.option("--scope", metavar="CGROUP", help="See only what is below this cgroup.")
@click.option("--node", metavar="NAME", help="The node's name in every row (the host's name).")
@click.option("--keep-query", is_flag=True, help="Keep the query in sampled paths.")
@click.option("--listen", metavar="127.0.0.1:PORT", help="Serve the API on loopback TCP too.")
@click.option("--token-file", metavar="FILE", help="The token callers of --listen must send.")
@click.option("--state-dir", metavar="DIR", help="Where totals and identities are kept.")
@click.option("--runtime-dir", metavar="DIR", help="Where the socket is (/run/undermesh).")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@where_options
def up(
    in_background: bool,
    scope: str | None,
    node: str | None,
    keep_query: bool,
    listen: str | None,
    token_file: str | None,
    state_dir: str | None,
    runtime_dir: str | None,
    log_level: str | None,
    **where: str | None,
) -> int:
    """Starts the agent: programs into the kernel, API on its socket. Needs root.

    It ends on Ctrl-C or SIGTERM; what it loaded stays and goes on counting, and the next `up`
    takes it over. `undermesh down` takes everything away.
    """
    _need_root("up")
    settings = settings_for(
        {
            "kernel.scope": _absolute(scope),
            "kernel.keep_query": keep_query or None,
            "agent.node": node,
            "agent.state_dir": _absolute(state_dir),
            "agent.runtime_dir": _absolute(runtime_dir),
            "api.listen": listen,
            "api.token_file": _absolute(token_file),
            "log.level": log_level,
        }
    )
    detach.refuse_second(settings.socket, settings.agent.instance)
    if in_background:
        return detach.start(settings, _arguments())
    from undermesh import agent

    return agent.run(settings)


@click.command(short_help="Stop the agent and take everything out of the kernel.")
@click.option("--scope", metavar="CGROUP", help="As given to `up`.")
@click.option("--state-dir", metavar="DIR", help="As given to `up`.")
@click.option("--runtime-dir", metavar="DIR", help="As given to `up`.")
@click.option("--yes", is_flag=True, hidden=True, help="Taken for the habit of it.")
@json_option
@where_options
def down(
    scope: str | None,
    state_dir: str | None,
    runtime_dir: str | None,
    yes: bool,
    as_json: bool,
    **where: str | None,
) -> None:
    """Stops the agent, takes its programs and maps out of the kernel and its cgroups away.

    Works without an agent, too. Commands started with `undermesh run` go on, in the cgroup above.
    """
    _need_root("down")
    settings = settings_for(
        {
            "kernel.scope": _absolute(scope),
            "agent.state_dir": _absolute(state_dir),
            "agent.runtime_dir": _absolute(runtime_dir),
        }
    )
    from undermesh import agent, store
    from undermesh.kernel import errors

    try:
        removed = agent.down(settings)
    except (errors.KernelError, store.StoreError, OSError) as error:
        raise Refusal(str(error)) from error
    if as_json:
        output.print_json(
            {
                "schema": 1,
                "stopped_pid": removed.stopped_pid,
                "pins": removed.pins,
                "cgroups": removed.cgroups,
                "state": removed.state,
            }
        )
        return
    output.print_lines(_told(removed.stopped_pid, removed.pins, removed.cgroups, removed.state))


def settings_for(flags: dict[str, object]) -> Config:
    """The configuration by file, environment and flags; all that is wrong with it at once."""
    from undermesh import config

    file = named("config")
    where = {"agent.instance": named("instance"), "api.socket": _absolute(named("socket"))}
    try:
        return config.load(file=Path(file) if file else None, flags={**where, **flags})
    except config.ConfigError as error:
        raise Refusal(f"the configuration does not hold:\n{error}", code=WRONG_USE) from error


def _told(
    pid: int | None, pins: tuple[str, ...], cgroups: tuple[str, ...], state: tuple[str, ...]
) -> list[str]:
    lines = [] if pid is None else [f"stopped the agent (pid {pid})"]
    for kind, paths in (("pin", pins), ("cgroup", cgroups), ("state file", state)):
        if paths:
            plural = "" if len(paths) == 1 else "s"
            lines.append(f"removed {len(paths)} {kind}{plural}:")
            lines += [f"  {path}" for path in paths]
    return lines or ["nothing of undermesh was here"]


def _need_root(command: str) -> None:
    if os.geteuid() != 0:
        raise Refusal(
            f"`{command}` needs root: it loads programs into the kernel",
            hint=f"sudo undermesh {command}",
        )


def _absolute(path: str | None) -> str | None:
    """A detached agent works in /, so that it keeps no directory busy."""
    return None if path is None else str(Path(path).absolute())


def _arguments() -> list[str]:
    """The command line of `up` again, for the child: without --detach, paths made absolute."""
    context = click.get_current_context()
    arguments = []
    for option in ("instance", "socket", "config"):
        value = named(option)
        if value is not None:
            arguments += [f"--{option}", value if option == "instance" else str(_absolute(value))]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in (None, "in_background", "instance", "socket", "config") or not value:
            continue
        flag = parameter.opts[-1]
        if value is True:
            arguments.append(flag)
        else:
            in_root = parameter.name in ("scope", "token_file", "state_dir", "runtime_dir")
            arguments += [flag, str(_absolute(str(value)) if in_root else value)]
    return arguments
