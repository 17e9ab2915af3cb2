# SPDX-License-Identifier: Apache-2.0
"""Files in packaging/ that are printed by the code they describe, so that they never tell lies.

undermesh.toml                     config.render_toml(): every key, its default, a sentence
completions/{undermesh.bash,_undermesh,undermesh.fish}
                                   click's scripts, which ask the command for what may follow

python3 -m tools.shipped [--update]    compares them, or writes them
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click
from click.shell_completion import ShellComplete, get_completion_class

from undermesh.config import load, render_toml

PACKAGING = Path(__file__).resolve().parent.parent / "packaging"
COMPLETIONS = {"bash": "undermesh.bash", "zsh": "_undermesh", "fish": "undermesh.fish"}


def completion(shell: str) -> str:
    """The script a shell loads to complete `undermesh`."""
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(click.Group("undermesh"), {}, "undermesh", "_UNDERMESH_COMPLETE")
    # Not the subclass's: bash's would look at which bash this machine has.
    return ShellComplete.source(script).strip() + "\n"


def shipped() -> Mapping[Path, str]:
    """Path → what it should hold."""
    texts = {PACKAGING / "undermesh.toml": render_toml()}
    for shell, name in COMPLETIONS.items():
        texts[PACKAGING / "completions" / name] = completion(shell)
    return texts


def check_defaults_load(text: str) -> None:
    """Every line that shows a default is one the configuration accepts. Raises ConfigError."""
    enabled = []
    for line in text.splitlines():
        is_setting = line.startswith("#") and line[1:2].isalpha() and not line.endswith("=")
        enabled.append(line[1:] if is_setting else line)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "undermesh.toml"
        file.write_text("\n".join(enabled))
        load(file=file, environ={})


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write them")
    arguments = parser.parse_args()
    stale = [
        path
        for path, text in shipped().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if arguments.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(shipped()[path], encoding="utf-8")
        else:
            print(f"packaging/{path.relative_to(PACKAGING)} is stale: ./run check --fix writes it")
    check_defaults_load(render_toml())
    return 1 if stale and not arguments.update else 0


if __name__ == "__main__":
    sys.exit(main())
