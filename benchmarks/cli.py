# SPDX-License-Identifier: Apache-2.0
"""`./run bench cli`: how long the command takes, process start to process end."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import agent, processes, spread
from benchmarks.pace import Pace, say
from benchmarks.processes import BenchError
from benchmarks.rows import Bar, Row

TOOLS: Mapping[str, str] = {"bpftrace": "bpftrace", "ss": "iproute2"}
HELP_MS, TOP_MS = 150.0, 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    name: str
    words: Sequence[str]


def measure(pace: Pace) -> Iterator[Row]:
    """Rows for `--help` and `top --json`, each beside what answers a like question, and beside the
    floor: a Python that does nothing."""
    rounds = pace.pick(25, 15)
    command = str(agent.COMMAND)
    helped = _Command(name="undermesh --help", words=(command, "--help"))
    floor = _Command(name="python -c pass", words=(sys.executable, "-c", "pass"))
    traced = _Command(
        name="bpftrace --help", words=(processes.tool("bpftrace", "bpftrace"), "--help")
    )
    sockets = _Command(name="ss -tin", words=(processes.tool("ss", "iproute2"), "-tin"))
    with processes.scratch() as compiled, agent.up() as watching:
        place = ("--socket", str(watching.place.socket))
        top = _Command(name="undermesh top --json", words=(command, *place, "top", "--json"))
        say(f"cli: {rounds} rounds of five commands")
        took = _rounds(
            (helped, top, floor, traced, sockets), rounds, environment=_environment(compiled)
        )
    for mine, peer, most in (
        (helped, traced, HELP_MS),
        (helped, floor, None),
        (top, sockets, TOP_MS),
        (top, floor, None),
    ):
        yield Row(
            name=mine.name if most is not None else f"{mine.name}, beside an empty Python",
            ours=spread.median(took[mine.name]),
            unit="ms",
            peer=peer.name,
            theirs=spread.median(took[peer.name]),
            bar=None if most is None else Bar(bound="≤", figure=most),
            how=""
            if most is None
            else f"ours: {spread.spread(took[mine.name])}; "
            f"theirs: {spread.spread(took[peer.name])}",
        )


def _environment(compiled: Path) -> dict[str, str]:
    """Ours, but compiled Python is kept, where it is in nobody's way: as after an installation,
    whatever this tree has been told."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return mine | {"PYTHONPYCACHEPREFIX": str(compiled)}


def _rounds(
    commands: Sequence[_Command], rounds: int, *, environment: Mapping[str, str]
) -> Mapping[str, list[float]]:
    """Milliseconds by command: one run of each a round, in turn. The first round is not counted:
    it fills the page cache, and Python's cache of compiled modules."""
    took: dict[str, list[float]] = {command.name: [] for command in commands}
    for number in range(rounds + 1):
        for command in commands:
            milliseconds = _run(command, environment)
            if number:
                took[command.name].append(milliseconds)
    return took


def _run(command: _Command, environment: Mapping[str, str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        list(command.words),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env=environment,
    )
    took = (time.perf_counter() - began) * 1000
    if done.returncode != 0 and command.name.startswith("undermesh"):
        said = done.stderr.decode(errors="replace").strip()
        raise BenchError(f"{command.name} ended with {done.returncode}: {said}")
    return took
