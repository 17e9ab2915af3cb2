# SPDX-License-Identifier: Apache-2.0
"""`-f FILE|DIR|-`: the texts of manifests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from undermesh.wire.objects import Source

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "-"


def file_option(command: Decorated) -> Decorated:
    """-f, as often as one likes."""
    return click.option(
        "-f",
        "--filename",
        "files",
        multiple=True,
        metavar="FILE|DIR|-",
        type=click.Path(allow_dash=True),
        help="Manifests: a file, all of a directory, or - for stdin. May be repeated.",
    )(command)


def namespace_option(command: Decorated) -> Decorated:
    """-n, for manifests and names that say none."""
    return click.option(
        "-n",
        "--namespace",
        default="default",
        show_default=True,
        metavar="NAME",
        help="Namespace of what names none.",
    )(command)


def gather(files: Sequence[str]) -> list[Source]:
    """The text of every file, each once however often it is named; directories are walked down.

    Raises BadParameter that says everything that could not be read.
    """
    found: dict[tuple[int, int] | str, Source] = {}
    wrong: list[str] = []
    for name in files:
        try:
            for path in _files(name):
                identity = _identity(path)
                if identity not in found:
                    found[identity] = Source(name=path, text=_text(path))
        except OSError as error:
            wrong.append(f"reading {error.filename or name}: {error.strerror or error}")
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise click.BadParameter("; ".join(wrong), param_hint="-f")
    return list(found.values())


def told(sources: Sequence[Source]) -> str:
    """ "3 files, 12 kB", for progress."""
    size = sum(len(source.text) for source in sources)
    files = f"{len(sources)} file{'s' if len(sources) != 1 else ''}"
    return f"{files}, {size / 1e6:.1f} MB" if size >= 100_000 else files


def _files(name: str) -> Iterator[str]:
    if name == STDIN or not Path(name).is_dir():
        yield name
        return
    there = False
    for directory, below, files in os.walk(name, onerror=_raise):
        below[:] = sorted(one for one in below if not one.startswith("."))
        for file in sorted(files):
            if file.endswith(SUFFIXES) and not file.startswith("."):
                there = True
                yield str(Path(directory) / file)
    if not there:
        raise ValueError(f"no {', '.join(SUFFIXES)} file in {name}")


def _identity(path: str) -> tuple[int, int] | str:
    if path == STDIN:
        return STDIN
    facts = os.stat(path)
    return facts.st_dev, facts.st_ino


def _text(path: str) -> str:
    raw = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text: byte {error.start} is not UTF-8") from error


def _raise(error: OSError) -> None:
    raise error
