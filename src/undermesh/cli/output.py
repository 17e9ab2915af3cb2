# SPDX-License-Identifier: Apache-2.0
"""Printing: JSON for programs, lines for people, and how wide a line may be."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable

import msgspec

from undermesh.cli.outcome import PipeClosed


def print_json(value: object) -> None:
    """One object on one line."""
    write(msgspec.json.encode(value).decode() + "\n")


def print_lines(lines: Iterable[str]) -> None:
    write("".join(f"{line}\n" for line in lines))


def write(text: str) -> None:
    """To stdout at once: whoever reads a pipe waits for it. Text that the terminal's encoding
    cannot show is replaced, never a crash. Raises `PipeClosed`.

    Under PYTHONUNBUFFERED the stream below takes a part of what it is given and says so, which
    `sys.stdout.write` does not heed; hence the loop.
    """
    rest = memoryview(text.encode(sys.stdout.encoding or "utf-8", "replace"))
    try:
        sys.stdout.flush()
        while rest:
            rest = rest[sys.stdout.buffer.write(rest) :]
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise PipeClosed from None


def line_width() -> int | None:
    """The terminal's columns; None for a pipe, which takes lines of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
