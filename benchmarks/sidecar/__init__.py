# SPDX-License-Identifier: Apache-2.0
"""`./run bench sidecar`: HTTP through a service beside Envoys in the way."""

from collections.abc import Callable, Iterator, Mapping

from benchmarks.pace import Pace
from benchmarks.rows import Row
from benchmarks.sidecar import measured

PARTS: Mapping[str, Callable[[Pace], Iterator[Row]]] = {"sidecar": measured.measure}

TOOLS: Mapping[str, str] = {
    "wrk": "wrk",
    "nginx": "nginx",
    "taskset": "util-linux",
    "setpriv": "util-linux",
}
