#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The slowest edges of this host, from Python.

sudo .venv/bin/python examples/slowest_edges.py [INSTANCE]
"""

import sys

import undermesh


def main() -> None:
    instance = sys.argv[1] if len(sys.argv) > 1 else "default"
    with undermesh.connect(instance=instance) as agent:
        edges = [edge for edge in agent.edges(total=True).edges if edge.p99_ms is not None]
    edges.sort(key=lambda edge: edge.p99_ms or 0.0, reverse=True)
    for edge in edges[:10]:
        print(f"{edge.p99_ms:10.2f} ms  {edge.client} → {edge.server}:{edge.port}")


if __name__ == "__main__":
    main()
