# SPDX-License-Identifier: Apache-2.0
"""What the agent takes while requests pour in: processor and memory."""

import contextlib
import time
from collections.abc import Iterator

from benchmarks import agent, nginx, processes, wrk
from benchmarks.pace import Pace, say
from benchmarks.rows import Bar, Row

LEAST_RATE = 50_000
MOST_CPU_PERCENT = 2.0
MOST_RESIDENT_MB = 120.0
MOST_MAPS_MB = 60.0
MB = 1e6

# Two ports and three statuses: series of their own, as in life.
_PAGES = (("/", 0), ("/", 1), ("/file", 0), ("/file", 1), ("/missing", 0), ("/busy", 1))


def measure(pace: Pace) -> Iterator[Row]:
    """Rows for processor time, resident memory and kernel maps, after a minute of load."""
    seconds, measured = pace.pick(62, 12), pace.pick(32, 8)
    say(f"tap: the agent under load, {seconds} s")
    client_core, server_core = processes.cores()
    with nginx.served(cpu=server_core) as server, agent.up() as watching:
        pid = watching.pid
        with contextlib.ExitStack() as loads:
            for path, port in _PAGES:
                url = server.url(path, port=port)
                loads.enter_context(
                    wrk.Load(url, seconds=seconds + 2, cpu=client_core, connections=6)
                )
            time.sleep(seconds - measured)
            cpu, began = processes.cpu_seconds(pid), server.requests()
            time.sleep(measured)
            cpu, ended = processes.cpu_seconds(pid) - cpu, server.requests()
            resident = processes.memory_bytes(pid)
            maps = {row.name: row for row in watching.client.status().maps}
        peak = processes.memory_bytes(pid, "VmHWM")
    span = (ended.at_ns - began.at_ns) / 1e9
    rate = (ended.requests - began.requests) / span
    yield Row(
        name="agent's processor time under load",
        ours=cpu / span * 100,
        unit="% of a core",
        bar=Bar(bound="≤", figure=MOST_CPU_PERCENT),
        how=f"user and system time of the process (/proc/PID/stat) over {span:.1f} s, "
        f"{maps['um_series'].entries} series counting",
    )
    yield Row(
        name="rate of requests under that load",
        ours=round(rate),
        unit="requests/s",
        bar=Bar(bound="≥", figure=LEAST_RATE),
        how=f"{len(_PAGES)} runs of wrk at once: two ports, statuses 200, 404, 503",
    )
    yield Row(
        name=f"agent's resident memory after {seconds} s",
        ours=resident / MB,
        unit="MB",
        bar=Bar(bound="≤", figure=MOST_RESIDENT_MB),
        how=f"VmRSS; at most it had {peak / MB:.1f} MB (VmHWM)",
    )
    yield Row(
        name=f"kernel maps after {seconds} s, default sizes",
        ours=sum(row.bytes for row in maps.values()) / MB,
        unit="MB",
        bar=Bar(bound="≤", figure=MOST_MAPS_MB),
        how="memory the kernel accounts to the maps (memlock of their fdinfo, by `undermesh status "
        "--json`); what it keeps per socket comes on top, about 1 KB each",
    )
