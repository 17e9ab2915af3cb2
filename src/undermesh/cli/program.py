# SPDX-License-Identifier: Apache-2.0
"""The command line's root: which commands there are, and how each way of ending is told.

A command's module is imported when the command runs, so `undermesh --help` pays for click alone.
The table below repeats each command's one-line help for that reason; a test compares the two.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

import undermesh
from undermesh.cli.outcome import (
    ANSWER_IS_NO,
    INTERRUPTED,
    PIPE_CLOSED,
    UNREACHABLE,
    WRONG_USE,
    PipeClosed,
    Refusal,
)
from undermesh.cli.surroundings import taken_in


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command lives (`module:attribute`), its place in the help, its one line."""

    path: str
    section: str
    summary: str


_AGENT, _VIEWS, _DESIRED = "Agent", "Views", "Desired state"
_RUN, _MORE = "Workloads", "More"

COMMANDS: Mapping[str, Command] = {
    "up": Command("up:up", _AGENT, "Start the agent on this host."),
    "down": Command("up:down", _AGENT, "Stop the agent and take everything out of the kernel."),
    "status": Command("status:status", _AGENT, "What the agent runs, and how full its maps are."),
    "doctor": Command("doctor:doctor", _AGENT, "Whether this host has what undermesh needs."),
    "top": Command("top:top", _VIEWS, "Who talks to whom: rate, errors, latency, per edge."),
    "map": Command("map:map_", _VIEWS, "The same as a graph."),
    "flows": Command("flows:flows", _VIEWS, "Connections: live, ended and failed."),
    "tap": Command("tap:tap", _VIEWS, "Single requests: errors first, then the slow ones."),
    "drops": Command("drops:drops", _VIEWS, "Why the kernel threw packets away."),
    "workloads": Command("workloads:workloads", _VIEWS, "Whoever owns sockets on this host."),
    "explain": Command("explain:explain", _VIEWS, "Where a connection to a name goes, and why."),
    "apply": Command("apply:apply", _DESIRED, "Store manifests, all of them or none."),
    "get": Command("get:get", _DESIRED, "What is stored: services, endpoints, workloads."),
    "delete": Command("delete:delete", _DESIRED, "Remove objects, by name or by manifest."),
    "diff": Command("diff:diff", _DESIRED, "What applying manifests would change."),
    "run": Command("run:run", _RUN, "Run a command as a named workload of its own."),
    "demo": Command("demo:demo", _MORE, "A small shop under load, and its live picture."),
    "bench": Command("bench:bench", _MORE, "How to measure what undermesh costs."),
    "completion": Command("completion:completion", _MORE, "Shell completion for bash, zsh, fish."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.path.partition(":")
        command = getattr(importlib.import_module(f"undermesh.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]!r}?" if near else "`undermesh --help` lists them"
            raise click.UsageError(f"there is no command {name!r}; {advice}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in (_AGENT, _VIEWS, _DESIRED, _RUN, _MORE):
            rows = [(n, c.summary) for n, c in COMMANDS.items() if c.section == section]
            with formatter.section(section):
                formatter.write_dl(rows, col_max=12)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 the answer is no, 2 wrong use, 3 the agent is unreachable.",
)
@click.option("--instance", metavar="NAME", help="Which agent.")
@click.option("--socket", metavar="FILE", help="The agent's socket.")
@click.option("--config", metavar="FILE", help="Configuration file.")
@click.version_option(undermesh.__version__, message="undermesh %(version)s")
@taken_in
def undermesh_command(**options: str | None) -> None:
    """See every connection and every request on this host, from the kernel up.

    First steps: `sudo undermesh up --detach`, then `sudo undermesh top`.
    """


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code and never raises."""
    try:
        code = undermesh_command.main(args, prog_name="undermesh", standalone_mode=False)
    except Refusal as error:
        _complain(error.message, error.hint)
        return error.code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return WRONG_USE
    except click.ClickException as error:
        return _wrong_use(error)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except PipeClosed:
        return _quiet_after_closed_pipe()
    except click.exceptions.Exit as error:
        return error.exit_code
    except Exception as error:
        return _client_error(error)
    return code if isinstance(code, int) else 0


def _client_error(error: Exception) -> int:
    """Errors of `client`, which is imported only by commands that use it; others are bugs."""
    module = sys.modules.get("undermesh.client.errors")
    if module is None or not isinstance(error, module.ClientError):
        raise error
    _complain(error.message, error.hint)
    for line in getattr(error, "diagnostics", ()):
        click.echo(f"  {line}", err=True)
    unreachable = isinstance(error, module.AgentUnreachable | module.AnswerUnreadable)
    return UNREACHABLE if unreachable else ANSWER_IS_NO


def _wrong_use(error: click.ClickException) -> int:
    message = error.format_message().rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    _complain(message, f"see `{context.command_path} --help`" if context is not None else "")
    return WRONG_USE


def _complain(message: str, hint: str) -> None:
    text = f"undermesh: {message}"
    click.echo(f"{text}; {hint}" if hint else text, err=True)


def _quiet_after_closed_pipe() -> int:
    """`| head` is no error: what the interpreter still flushes at exit goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED
