# SPDX-License-Identifier: Apache-2.0
"""`./run bench control`: how long it takes until the kernel holds what is wanted."""

from collections.abc import Callable, Iterator, Mapping

from benchmarks.control import measured
from benchmarks.pace import Pace
from benchmarks.rows import Row

PARTS: Mapping[str, Callable[[Pace], Iterator[Row]]] = {"control": measured.measure}

TOOLS: Mapping[str, str] = {"setpriv": "util-linux"}
