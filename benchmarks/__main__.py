# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks [NAME] [--json] [--quick]`, which `./run bench` runs.

Exit codes: 0 every bar holds, 1 one does not or a benchmark could not be finished, 2 wrong use or
a program that is missing, 130 ended by Ctrl-C.
"""

import argparse
import os
import platform
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType

from benchmarks import cli, control, fastpath, lb, priority, processes, rows, sidecar, tap
from benchmarks.pace import Pace
from benchmarks.rows import Row

DONE, A_BAR_FAILS, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A name, what it shows, and its parts in order."""

    shows: str
    parts: Mapping[str, Callable[[Pace], Iterator[Row]]]
    tools: Mapping[str, str]
    takes: str


BENCHMARKS: Mapping[str, Benchmark] = {
    "tap": Benchmark(
        shows="every request counted, throughput kept, cost per request, the agent's processor "
        "time and memory, percentiles; beside bpftrace and tcpdump",
        parts=tap.PARTS,
        tools=tap.TOOLS,
        takes="5 minutes",
    ),
    "fastpath": Benchmark(
        shows="round trips and streams of same-host connections joined from socket to socket, "
        "all counting on; beside plain loopback TCP",
        parts=fastpath.PARTS,
        tools=fastpath.TOOLS,
        takes="2 minutes",
    ),
    "cli": Benchmark(
        shows="how fast the command answers; beside ss, bpftrace and an empty Python",
        parts={"cli": cli.measure},
        tools=cli.TOOLS,
        takes="20 seconds",
    ),
    "priority": Benchmark(
        shows="a critical service's p99 on a link that bulk flows fill, with its Priority and "
        "without; beside the idle link",
        parts=priority.PARTS,
        tools=priority.TOOLS,
        takes="90 seconds",
    ),
    "control": Benchmark(
        shows="how long until the kernel holds 10,000 services: from files, from the store, after "
        "one change",
        parts=control.PARTS,
        tools=control.TOOLS,
        takes="90 seconds",
    ),
    "lb": Benchmark(
        shows="connect, ask and close through one of 10,000 services; beside direct, nftables and "
        "HAProxy; and with 100,000 services beside one",
        parts=lb.PARTS,
        tools=lb.TOOLS,
        takes="90 seconds",
    ),
    "sidecar": Benchmark(
        shows="HTTP requests through a service; beside one Envoy and a pair of Envoys in the way",
        parts=sidecar.PARTS,
        tools=sidecar.TOOLS,
        takes="2 minutes",
    ),
}


def main() -> int:
    arguments = _arguments()
    if arguments.name is None:
        print(_listing())
        return DONE
    if os.geteuid() != 0:
        print("bench loads eBPF programs, which needs root: sudo ./run bench …", file=sys.stderr)
        return WRONG_USE
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    benchmark = BENCHMARKS[arguments.name]
    try:
        for tool, package in benchmark.tools.items():
            processes.tool(tool, package)
        found = list(_measured(benchmark, Pace(quick=arguments.quick), arguments.part))
    except processes.ToolMissing as error:
        print(f"bench: {error}", file=sys.stderr)
        return WRONG_USE
    except processes.BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return A_BAR_FAILS
    except KeyboardInterrupt:
        print("bench: interrupted; everything it started is gone", file=sys.stderr)
        return INTERRUPTED
    notes = list(_notes(quick=arguments.quick))
    _print(rows.document(found) if arguments.json else rows.table(found, notes=notes))
    return DONE if all(row.holds for row in found) else A_BAR_FAILS


def _print(text: str) -> None:
    """To stdout; that its reader has gone (`| head`) is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _measured(benchmark: Benchmark, pace: Pace, part: str | None) -> Iterator[Row]:
    if part is not None and part not in benchmark.parts:
        raise processes.ToolMissing(f"there is no part {part}: {', '.join(benchmark.parts)}")
    for name, measure in benchmark.parts.items():
        if part in (None, name):
            yield from measure(pace)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description="Measures undermesh.")
    parser.add_argument("name", nargs="?", choices=sorted(BENCHMARKS), help="none lists them")
    parser.add_argument("--json", action="store_true", help="a list of rows for programs")
    parser.add_argument("--quick", action="store_true", help="short runs: does it work at all?")
    parser.add_argument("--part", metavar="PART", help="only one part of it")
    return parser.parse_args()


def _listing() -> str:
    lines = ["./run bench NAME [--json] [--quick] [--part PART], as root:", ""]
    for name, benchmark in BENCHMARKS.items():
        text = f"{benchmark.shows}; {benchmark.takes}"
        lines += textwrap.wrap(
            text, rows.WIDTH, initial_indent=f"  {name:9}", subsequent_indent=" " * 11
        )
        if len(benchmark.parts) > 1:
            lines.append(f"           parts: {', '.join(benchmark.parts)}")
    return "\n".join(lines)


def _notes(*, quick: bool) -> Iterator[str]:
    yield (
        f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} "
        f"processors, load {os.getloadavg()[0]:.1f}. docs/benchmarks.md says how each figure is "
        "taken."
    )
    if quick:
        yield "Short runs (--quick): they show that the benchmark works, not how fast anything is."


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Once: cleaning up is not to be interrupted, and ends by itself.
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
