# SPDX-License-Identifier: Apache-2.0
"""`./run bench lb`: connections through a service beside direct ones, nftables and HAProxy."""

from collections.abc import Callable, Iterator, Mapping

import benchmarks.lb.measured as measured
from benchmarks.pace import Pace
from benchmarks.rows import Row

PARTS: Mapping[str, Callable[[Pace], Iterator[Row]]] = {
    "beside": measured.beside,
    "size": measured.size,
}

TOOLS: Mapping[str, str] = {
    "clang": "clang",
    "nft": "nftables",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "taskset": "util-linux",
    "setpriv": "util-linux",
}
