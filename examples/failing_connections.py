#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Says who fails to connect to whom, as it happens, and ends after COUNT failures.

sudo .venv/bin/python examples/failing_connections.py [COUNT] [INSTANCE]
"""

import sys

import undermesh
from undermesh.client import Filter, Missed


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    instance = sys.argv[2] if len(sys.argv) > 2 else "default"
    with undermesh.connect(instance=instance) as agent:
        for flow in agent.follow_flows(Filter(state="failed")):
            if isinstance(flow, Missed):
                continue
            print(f"{flow.client} → {flow.server}:{flow.server_port}: {flow.reason}", flush=True)
            count -= 1
            if count == 0:
                return


if __name__ == "__main__":
    main()
