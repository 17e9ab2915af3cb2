# SPDX-License-Identifier: Apache-2.0
"""`undermesh completion`: the script a shell loads."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from undermesh.cli import output


@click.command(short_help="Shell completion for bash, zsh, fish.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Prints the completion script of SHELL.

    \b
    bash:  undermesh completion bash > /etc/bash_completion.d/undermesh
    zsh:   undermesh completion zsh > "${fpath[1]}/_undermesh"
    fish:  undermesh completion fish > ~/.config/fish/completions/undermesh.fish
    """
    from undermesh.cli.program import undermesh_command

    kind = get_completion_class(shell)
    assert kind is not None
    output.write(kind(undermesh_command, {}, "undermesh", "_UNDERMESH_COMPLETE").source())
