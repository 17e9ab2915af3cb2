# SPDX-License-Identifier: Apache-2.0
"""`./run bench fastpath`: joined connections beside plain loopback TCP."""

from collections.abc import Callable, Iterator, Mapping

from benchmarks.fastpath import measured
from benchmarks.pace import Pace
from benchmarks.rows import Row

PARTS: Mapping[str, Callable[[Pace], Iterator[Row]]] = {
    "one-core": measured.one_core,
    "two-cores": measured.two_cores,
    "stream": measured.stream,
}

TOOLS: Mapping[str, str] = {"taskset": "util-linux", "setpriv": "util-linux"}
