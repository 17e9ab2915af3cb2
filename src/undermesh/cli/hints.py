# SPDX-License-Identifier: Apache-2.0
"""What to try next: commands that work when copied, as this one was called."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from undermesh.cli.paint import Paint
from undermesh.cli.surroundings import surroundings


def commands(entries: Sequence[tuple[str, str]], paint: Paint) -> list[str]:
    """Each command with what it does beside it, or below it where the terminal is narrow."""
    lines = [(f"{invocation()} {arguments}", what) for arguments, what in entries]
    width = max(len(line) for line, _ in lines)
    room = shutil.get_terminal_size().columns
    if any(2 + width + 2 + len(what) > room for _, what in lines):
        return [
            text
            for line, what in lines
            for text in (f"  {paint(line, 'bold')}", f"      {paint(what, 'dim')}")
        ]
    return [f"  {paint(line.ljust(width), 'bold')}  {what}" for line, what in lines]


def invocation() -> str:
    """`undermesh` where the shell finds it, else the path it was started by; sudo in front when
    that is how root was become."""
    sudo = "sudo " if surroundings().sudo_uid else ""
    called = Path(sys.argv[0])
    if called.name != "undermesh":
        return f"{sudo}undermesh" if shutil.which("undermesh") else f"{sys.executable} -m undermesh"
    found = shutil.which("undermesh")
    if found is not None and Path(found).resolve() == called.resolve():
        return f"{sudo}undermesh"
    return f"{sudo}{os.path.relpath(called) if called.is_absolute() else called}"
