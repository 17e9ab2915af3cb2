# SPDX-License-Identifier: Apache-2.0
"""Loopback ports: which are free, which are listened on."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path


def free(names: Sequence[str]) -> dict[str, int]:
    """A free loopback port for each name, all different."""
    with contextlib.ExitStack() as stack:
        ports = {}
        for name in names:
            held = stack.enter_context(socket.socket())
            held.bind(("127.0.0.1", 0))
            ports[name] = int(held.getsockname()[1])
        return ports


def listening() -> frozenset[int]:
    """Listening TCP ports of this network namespace (proc(5): state 0A is LISTEN)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return frozenset(int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A")
