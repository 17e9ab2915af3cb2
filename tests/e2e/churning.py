# SPDX-License-Identifier: Apache-2.0
"""Many short-lived workloads, one after another: a cgroup, a process, a connection, a request.

python3 churning.py SCOPE PREFIX COUNT PORT     prints how many were answered

A process is a fork of this one that never runs another program, so a round is over in seconds.
"""

import os
import signal
import socket
import sys

_ASK = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


def live(cgroup: str, port: int) -> int:
    """What one workload does with its life; 0 when it was answered."""
    with open(f"{cgroup}/cgroup.procs", "w") as procs:
        procs.write("0")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(_ASK)
        answer = connection.recv(4096)
    return 0 if answer.startswith(b"HTTP/1.1 200 ") else 1


def one(cgroup: str, port: int) -> bool:
    """Makes a workload and waits for its end."""
    os.mkdir(cgroup)
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            signal.alarm(20)
            code = live(cgroup, port)
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    os.rmdir(cgroup)
    return status == 0


def main() -> None:
    scope, prefix, count, port = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    print(sum(one(f"{scope}/{prefix}{number}", port) for number in range(count)))


if __name__ == "__main__":
    main()
