# SPDX-License-Identifier: Apache-2.0
"""What the environment says about the terminal and the caller, taken in by the root command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """`no_color`: https://no-color.org. `sudo_uid`: who became root by sudo, "" for nobody."""

    term: str = ""
    no_color: bool = False
    sudo_uid: str = ""


def taken_in(command: Decorated) -> Decorated:
    """Lets click read the variables, as hidden options of the root command."""
    for variable in ("TERM", "NO_COLOR", "SUDO_UID"):
        command = click.option(
            f"--{variable.lower().replace('_', '-')}",
            envvar=variable,
            default="",
            hidden=True,
            expose_value=True,
        )(command)
    return command


def surroundings() -> Surroundings:
    """Those of the running command; outside of one, those of a pipe."""
    context = click.get_current_context(silent=True)
    if context is None:
        return Surroundings()
    said = context.find_root().params
    return Surroundings(
        term=str(said.get("term") or ""),
        no_color=bool(said.get("no_color")),
        sudo_uid=str(said.get("sudo_uid") or ""),
    )
