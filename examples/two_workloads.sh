#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Two commands as named workloads, and the edge between them:
#
#   sudo undermesh up --detach
#   sudo examples/two_workloads.sh
#
# Say UNDERMESH=.venv/bin/undermesh where the command is not on the PATH.
set -eu
undermesh=${UNDERMESH:-undermesh}
port=${PORT:-8765}

"$undermesh" run --name web --label tier=back -- python3 -m http.server --bind 127.0.0.1 "$port" \
	>/dev/null 2>&1 &
server=$!
trap 'kill "$server"; wait "$server" || true' EXIT

# The client waits for the server, then asks it ten times.
"$undermesh" run --name visitor -- python3 - "$port" <<'PY'
import http.client, sys, time

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
for attempt in range(100):
    try:
        connection.connect()
        break
    except ConnectionRefusedError:
        time.sleep(0.1)
for _ in range(10):
    connection.request("GET", "/nothing-here")
    connection.getresponse().read()
PY

# The agent reads the kernel's counters once a second.
sleep 2
"$undermesh" top --once --workload web
