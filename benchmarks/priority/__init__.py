# SPDX-License-Identifier: Apache-2.0
"""`./run bench priority`: whether what is important gets through a link that bulk traffic fills."""

from collections.abc import Callable, Iterator, Mapping

from benchmarks.pace import Pace
from benchmarks.priority import latency
from benchmarks.rows import Row

PARTS: Mapping[str, Callable[[Pace], Iterator[Row]]] = {"latency": latency.measure}

TOOLS: Mapping[str, str] = {"ip": "iproute2", "tc": "iproute2"}
"""Programs and the Debian packages they are in."""
