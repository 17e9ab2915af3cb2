# SPDX-License-Identifier: Apache-2.0
"""`./run bench tap`: whether every request is counted, and what that costs."""

from collections.abc import Callable, Iterator, Mapping

from benchmarks.pace import Pace
from benchmarks.rows import Row
from benchmarks.tap import compared, cost, counted, footprint, percentiles, throughput

PARTS: Mapping[str, Callable[[Pace], Iterator[Row]]] = {
    "counted": counted.measure,
    "throughput": throughput.measure,
    "cost": cost.measure,
    "footprint": footprint.measure,
    "percentiles": percentiles.measure,
    "compared": compared.measure,
}
"""In the order they are taken; each starts and ends what it needs."""

TOOLS: Mapping[str, str] = {
    "nginx": "nginx",
    "wrk": "wrk",
    "bpftrace": "bpftrace",
    "tcpdump": "tcpdump",
}
"""Programs and the Debian packages they are in."""
