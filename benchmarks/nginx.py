# SPDX-License-Identifier: Apache-2.0
"""A real nginx of the benchmark's own: temporary directory, own ports, one worker on one core."""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import BenchError

BODY = "hello world\n"
FILE_BYTES = 1024

# Connections live as long as their client wants; everything else is as Debian's nginx has it, but
# for the access log, which at these rates measures the disk.
_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=16;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{ports[0]} backlog=4096;
        listen 127.0.0.1:{ports[1]} backlog=4096;
        location / {{ return 200 "{body}"; }}
        location /file {{ root {directory}; }}
        location /missing {{ return 404; }}
        location /busy {{ return 503; }}
    }}
    server {{
        listen 127.0.0.1:{ports[2]};
        location / {{ stub_status; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """nginx's own counter of requests at a moment of CLOCK_MONOTONIC, in ns."""

    requests: int
    at_ns: int


@dataclass(slots=True, kw_only=True)
class Nginx:
    """A running nginx, whose worker is another user. `ports` are two that answer and one with its
    counters."""

    process: subprocess.Popen[bytes]
    directory: Path
    ports: tuple[int, int, int]
    worker: int
    asked: int = 0
    """How often its counters were read: such a request counts as a request, too."""

    def url(self, path: str = "/", *, port: int = 0) -> str:
        """The address of a page at the first or second port."""
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    def requests(self) -> Reading:
        """Requests it has begun to answer, without those for its counters (stub_status).

        The moment is the middle of asking: under full load, the answer waits its turn.
        """
        began = time.monotonic_ns()
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[2], timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/")
            text = connection.getresponse().read().decode()
        ended = time.monotonic_ns()
        self.asked += 1
        total = int(text.split("requests\n")[1].split()[2])
        return Reading(requests=total - self.asked, at_ns=(began + ended) // 2)

    def freeze(self) -> None:
        """Stops the worker between two instructions: what arrives waits in its sockets."""
        os.kill(self.worker, signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        os.kill(self.worker, signal.SIGCONT)


@contextlib.contextmanager
def served(*, cpu: int, cgroup: Path | None = None) -> Iterator[Nginx]:
    """Starts nginx and ends it with the block. Raises ToolMissing, BenchError."""
    program = processes.tool("nginx", "nginx")
    with processes.scratch() as directory:
        (directory / "file").write_bytes(b"x" * FILE_BYTES)
        first, second, third = ports = processes.free_ports(3)
        configuration = directory / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(directory=directory, ports=ports, body=BODY.replace("\n", "\\n"))
        )
        command = [program, "-c", str(configuration), "-e", str(directory / "error.log")]
        with processes.running(processes.start(command, cpu=cpu, cgroup=cgroup)) as process:
            nginx = Nginx(
                process=process, directory=directory, ports=(first, second, third), worker=0
            )
            _wait(nginx)
            try:
                yield nginx
            finally:
                with contextlib.suppress(ProcessLookupError):
                    nginx.thaw()


def _wait(nginx: Nginx) -> None:
    def answers() -> bool:
        if nginx.process.poll() is not None:
            said = (nginx.directory / "error.log").read_text(errors="replace").strip()
            raise BenchError(f"nginx ended at once: {said or nginx.process.returncode}")
        try:
            nginx.requests()
        except OSError:
            return False
        return True

    processes.wait_until(answers, what="nginx to answer")
    nginx.worker = processes.children(nginx.process.pid)[0]
