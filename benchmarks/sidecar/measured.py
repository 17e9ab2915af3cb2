# SPDX-License-Identifier: Apache-2.0
"""The same load by turns: through a service, through one Envoy, through a pair of them."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import nginx, processes, spread, wrk
from benchmarks.lb import tables
from benchmarks.pace import Pace, say
from benchmarks.processes import BenchError
from benchmarks.rows import Bar, Row
from benchmarks.sidecar import envoy

TIMES = {"one Envoy": 5.0, "a pair of Envoys": 8.0}
OF_P50 = 0.2
_UNIT_US = {"us": 1.0, "ms": 1e3, "s": 1e6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What wrk said of one run."""

    rate: float
    p50_us: float


def measure(pace: Pace) -> Iterator[Row]:
    """Requests per second and p50, by turns."""
    rounds, seconds = pace.pick(7, 1), pace.pick(4, 2)
    client_core, server_core = processes.cores()
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(tables.started())
        directory = stack.enter_context(processes.scratch())
        ours = stack.enter_context(nginx.served(cpu=server_core, cgroup=up.scope))
        theirs = stack.enter_context(nginx.served(cpu=server_core))
        up.load(1, backends=1, ports=[ours.ports[0]])
        # A pair stands as in a mesh: one beside the caller, one beside the server.
        near = stack.enter_context(
            envoy.hop(directory, name="one", to=theirs.ports[0], cpu=server_core)
        )
        far = stack.enter_context(envoy.hop(directory, name="pair", to=near, cpu=client_core))
        ways: dict[str, tuple[str, Path | None]] = {
            "a service": (f"http://{tables.address(0)}:{tables.PORT}/", up.scope),
            "one Envoy": (f"http://127.0.0.1:{near}/", None),
            "a pair of Envoys": (f"http://127.0.0.1:{far}/", None),
            "direct": (theirs.url(), None),
        }
        taken: dict[str, list[Run]] = {name: [] for name in ways}
        for turn in range(rounds):
            say(f"sidecar: round {turn + 1} of {rounds}, {len(ways)} ways of {seconds} s")
            for name, (url, scope) in ways.items():
                taken[name].append(_run(url, seconds=seconds, cpu=client_core, scope=scope))
    yield from _rows(taken)


def _run(url: str, *, seconds: int, cpu: int, scope: Path | None) -> Run:
    command = [processes.tool("wrk", "wrk"), "-t1", f"-c{wrk.CONNECTIONS}", f"-d{seconds}s"]
    load = processes.start(
        [*command, "--latency", url], cpu=cpu, cgroup=scope, stdout=subprocess.PIPE
    )
    with processes.running(load):
        text = load.communicate(timeout=seconds + 30)[0].decode()
    said, found = wrk.parse(text), re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    if found is None or said.errors or "Non-2xx" in text:
        raise BenchError(f"wrk {url}: {text.strip()}")
    return Run(rate=said.requests / said.seconds, p50_us=float(found[1]) * _UNIT_US[found[2]])


def _rows(taken: dict[str, list[Run]]) -> Iterator[Row]:
    ours = taken["a service"]
    for name, bar in TIMES.items():
        theirs = taken[name]
        yield _compared(
            f"requests/s through a service, of {name}",
            [run.rate for run in ours],
            [run.rate for run in theirs],
            "requests/s",
            Bar(bound="≥", figure=bar),
        )
        yield _compared(
            f"p50 through a service, of {name}",
            [run.p50_us for run in ours],
            [run.p50_us for run in theirs],
            "µs",
            Bar(bound="≤", figure=OF_P50),
        )
    yield _compared(
        "requests/s through a service, of direct, nothing of undermesh",
        [run.rate for run in ours],
        [run.rate for run in taken["direct"]],
        "requests/s",
        None,
    )


def _compared(name: str, ours: list[float], theirs: list[float], unit: str, bar: Bar | None) -> Row:
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return Row(
        name=name,
        ours=spread.median(ratios),
        unit="of theirs",
        bar=bar,
        how=f"{spread.median(ours):,.0f} {unit} against {spread.median(theirs):,.0f} (medians); "
        f"runs of one round over each other: {spread.spread(ratios)}. wrk, {wrk.CONNECTIONS} kept "
        "connections, 12 bytes from nginx; everything of undermesh on for ours",
    )
