# SPDX-License-Identifier: Apache-2.0
"""Are the percentiles right? Those from the kernel's histogram beside those of raw latencies."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator

from benchmarks import agent, latency_load, processes, spread
from benchmarks.pace import Pace, say
from benchmarks.processes import BenchError
from benchmarks.rows import Bar, Row, number

RATE = 1_000
SHARES = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
PART, ABSOLUTE_MS = 0.05, 0.3
SEED = 7


def measure(pace: Pace) -> Iterator[Row]:
    """A row per percentile, and one for the number of requests they are taken from."""
    seconds = pace.pick(25, 5)
    say(f"tap: percentiles, {seconds} s at {RATE:,} requests/s")
    port = processes.free_ports(1)[0]
    with agent.up() as watching:
        found = _load(port, seconds)
        rows = [row for row in watching.totals(port) if row.requests]
    if len(rows) != 1:
        raise BenchError(f"the agent shows {len(rows)} request rows for port {port}, not one")
    edge = rows[0]
    yield Row(
        name="requests in the percentiles",
        ours=edge.requests,
        unit="requests",
        peer="answers the generator read",
        theirs=len(found.program),
        bar=Bar(bound="=", figure=len(found.program)),
        how=f"open loop, {len(found.program) / found.seconds:,.0f} requests/s over "
        f"{found.connections} kept connections; the server's mix: "
        f"{spread.spread([ns / 1e6 for ns in found.program])} ms",
    )
    raw = spread.percentiles(found.program, list(SHARES.values()))
    stamped = spread.percentiles([ns for ns in found.kernel if ns], list(SHARES.values()))
    for (name, _), exact_ns, kernel_ns in zip(SHARES.items(), raw, stamped, strict=True):
        theirs = exact_ns / 1e6
        ours = float(getattr(edge, f"{name}_ms"))
        yield Row(
            name=f"percentile {name}",
            ours=ours,
            unit="ms",
            peer="the generator's raw latencies",
            theirs=theirs,
            bar=Bar(bound="±", figure=PART * theirs + ABSOLUTE_MS),
            how=f"{ours - theirs:+.3f} ms, {(ours / theirs - 1) * 100:+.2f} %; by the kernel's own "
            f"time stamps of the answers (SO_TIMESTAMPNS) the raw figure is {kernel_ns / 1e6:.3f}",
        )


def _load(port: int, seconds: int) -> latency_load.Latencies:
    python = (sys.executable, "-m")
    server = processes.start((*python, "benchmarks.latency_server", str(port), str(SEED)))
    with processes.running(server):
        processes.wait_until(lambda: _listens(port), what="the latency server to listen")
        words = (str(port), str(RATE), str(seconds), str(SEED))
        load = processes.start((*python, "benchmarks.latency_load", *words), stdout=subprocess.PIPE)
        with processes.running(load):
            said, _ = load.communicate(timeout=seconds + 2 * latency_load.PATIENCE_S)
    if load.returncode != 0:
        raise BenchError(f"the load generator ended with {load.returncode}")
    found = latency_load.Latencies(**json.loads(said))
    if found.unanswered:
        raise BenchError(f"{number(found.unanswered)} requests were never answered")
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
