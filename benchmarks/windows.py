# SPDX-License-Identifier: Apache-2.0
"""Throughput in windows of one load run, by nginx's own counter."""

import time

from benchmarks.nginx import Nginx

SECONDS = 1.0
SETTLE_SECONDS = 0.1
"""After something changed, before a window begins: code patched in, caches warm."""


def rate(server: Nginx, seconds: float = SECONDS) -> float:
    """Requests per second over one window, by the exact times of its two readings."""
    time.sleep(SETTLE_SECONDS)
    began = server.requests()
    time.sleep(seconds)
    ended = server.requests()
    return (ended.requests - began.requests) / (ended.at_ns - began.at_ns) * 1e9
