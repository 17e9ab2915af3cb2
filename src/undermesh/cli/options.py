# SPDX-License-Identifier: Apache-2.0
"""Options many commands share, and the agent they name.

--instance, --socket and --config are taken before the command's name and after it; the nearer one
wins.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from undermesh.client import Client

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")
follow_option = click.option("-f", "--follow", is_flag=True, help="Go on as new ones come.")


def where_options(command: Decorated) -> Decorated:
    """--instance, --socket, --config, as the root has them."""
    command = click.option("--config", metavar="FILE", help="Configuration file.")(command)
    return _instance_options(command)


def agent_options(command: Decorated) -> Decorated:
    """Which agent to ask: `where_options`, or a TCP address with its token."""
    command = click.option("--config", metavar="FILE", help="Configuration file.")(command)
    return which_agent_options(command)


def which_agent_options(command: Decorated) -> Decorated:
    """The same without --config, for a command where that word means another thing."""
    command = click.option(
        "--token-file",
        metavar="FILE",
        envvar="UNDERMESH_API_TOKEN_FILE",
        help="The token for --address.",
    )(command)
    command = click.option(
        "--address",
        metavar="HOST:PORT",
        help="An agent that listens on TCP, instead of its socket.",
    )(command)
    return _instance_options(command)


def _instance_options(command: Decorated) -> Decorated:
    command = click.option("--socket", metavar="FILE", help="The agent's socket.")(command)
    return click.option("--instance", metavar="NAME", help="Which agent.")(command)


def named(key: str) -> str | None:
    """The value of a where_option, after the command's name or before it."""
    context: click.Context | None = click.get_current_context()
    while context is not None:
        value = context.params.get(key)
        if isinstance(value, str):
            return value
        context = context.parent
    return None


def agent() -> Client:
    """A client of the agent the current command's options name."""
    from undermesh.client import connect

    address = click.get_current_context().params.get("address")
    try:
        if address is not None:
            return connect(address=address, token=_token())
        return connect(socket=socket_path())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--address") from error


def socket_path() -> Path:
    """The socket of the agent that flags, environment and configuration file name."""
    from undermesh import config

    socket, file = named("socket"), named("config")
    return config.find_socket(
        instance=named("instance"),
        socket=Path(socket) if socket else None,
        file=Path(file) if file else None,
    )


def _token() -> str | None:
    file = click.get_current_context().params.get("token_file")
    if not file:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        message = f"reading {file}: {error.strerror}"
        raise click.BadParameter(message, param_hint="--token-file") from error


_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """Seconds from a number with or without a unit: 10, 10s, 500ms, 5m, 1h."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)", str(text).strip())
    if found is None or float(found[1]) <= 0:
        raise click.BadParameter(f"{text!r} is no duration; try 10s, 500ms or 5m")
    return float(found[1]) * _UNITS[found[2]]
