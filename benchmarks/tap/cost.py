# SPDX-License-Identifier: Apache-2.0
"""What a request costs in the kernel: time inside our programs, over requests.

With run statistics on, the kernel times every run of every program (bpf(2), BPF_ENABLE_STATS);
that itself costs time, part of which falls into the figure. A run of its own, therefore.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping

from benchmarks import agent, nginx, processes, wrk
from benchmarks.pace import Pace, say
from benchmarks.rows import Bar, Row, number
from undermesh import host
from undermesh.kernel import programs

MOST_US = 2.0


def measure(pace: Pace) -> Iterator[Row]:
    """One row: µs per request, both ends of the connection together."""
    seconds = pace.pick(10, 3)
    say(f"tap: kernel time per request, {seconds} s")
    client_core, server_core = processes.cores()
    with contextlib.ExitStack() as stack:
        # In a cgroup of their own, so that nobody else's packets are in the figure.
        group = stack.enter_context(processes.own_cgroup(host.find_cgroup2()))
        server = stack.enter_context(nginx.served(cpu=server_core, cgroup=group))
        watching = stack.enter_context(agent.up(scope=group))
        stack.enter_context(
            wrk.Load(server.url(), seconds=seconds + 2, cpu=client_core, cgroup=group)
        )
        time.sleep(0.5)
        stack.enter_context(programs.run_statistics())
        before, began = _run_ns(watching), server.requests()
        time.sleep(seconds)
        after, ended = _run_ns(watching), server.requests()
    requests = ended.requests - began.requests
    spent = {name: (ns - before[name][0]) / requests for name, (ns, _) in after.items()}
    runs = {name: (n - before[name][1]) / requests for name, (_, n) in after.items()}
    dearest = sorted(spent, key=lambda name: -spent[name])[:4]
    parts = (f"{name} {spent[name]:,.0f} ns in {runs[name]:.2f} runs" for name in dearest)
    yield Row(
        name="kernel cost per local request, both ends",
        ours=sum(spent.values()) / 1000,
        unit="µs",
        bar=Bar(bound="≤", figure=MOST_US),
        how=f"run time of all {len(spent)} programs (bpf_stats) over {number(requests)} requests "
        f"nginx began in {(ended.at_ns - began.at_ns) / 1e9:.1f} s; a request: {', '.join(parts)}",
    )


def _run_ns(watching: agent.Agent) -> Mapping[str, tuple[int, int]]:
    """(ns, runs) of each program so far."""
    return {row.name: (row.run_ns, row.runs) for row in watching.client.status().programs}
