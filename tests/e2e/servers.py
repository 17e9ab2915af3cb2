# SPDX-License-Identifier: Apache-2.0
"""Real servers, each in a place of its own, waited for without a connection."""

import random
import re
import socket
import subprocess
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e import peers
from tests.e2e.places import Scope
from tests.e2e.waiting import until

_LISTEN = "0A"


def free_port() -> int:
    """A TCP port nobody uses, outside of those the kernel gives to clients."""
    while True:
        port = random.randint(20000, 31999)
        with socket.socket() as tried:
            try:
                tried.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port


def listens(pid: int, port: int) -> bool:
    """Whether somebody listens on a TCP port in the network namespace of a process."""
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            if state == _LISTEN and int(local.rpartition(":")[2], 16) == port:
                return True
    return False


def wait_listening(child: subprocess.Popen[Any], *ports: int) -> None:
    """Until the process has its ports; fails with what it said when it ended instead."""

    def ready() -> bool:
        if child.poll() is not None:
            raise AssertionError(f"{child.args!r} ended with {child.returncode}")
        return all(listens(child.pid, port) for port in ports)

    until(ready, what=f"{child.args!r} to listen on {ports}", every=0.02)


def peer(*arguments: str) -> list[str]:
    """The command line of one of peers.py."""
    return ["/usr/bin/python3", peers.__file__, *arguments]


def serve(scope: Scope, role: str, *, place: str = "") -> int:
    """Starts a server of peers.py on loopback; answers its port."""
    port = free_port()
    wait_listening(scope.start(place or role, peer(role, str(port))), port)
    return port


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """A running nginx. `counted` is how many requests it says it has had on `port`."""

    port: int
    status_port: int
    directory: Path
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def counted(self) -> int:
        """From stub_status, less the questions for it: those come one by one on connections of
        their own, and are numbered by a file."""
        asked = self.directory / "asked"
        number = int(asked.read_text()) + 1
        asked.write_text(str(number))
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}/") as answer:
            text = answer.read().decode()
        found = re.search(r"\n\s*\d+ \d+ (\d+)", text)
        assert found is not None, text
        return int(found[1]) - number


_CONF = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 10000000;
    client_max_body_size 64m;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{status_port};
        location / {{ stub_status; }}
    }}
    server {{
        listen 127.0.0.1:{port};
        listen [::1]:{port};
        location / {{ return 200 "hello\\n"; }}
        location /missing {{ return 404; }}
        location /broken {{ return 503; }}
        location /small {{ client_max_body_size 1k; proxy_pass http://127.0.0.1:{status_port}/; }}
        location /files {{ alias {directory}/files; }}
        location /dav {{
            alias {directory}/files; dav_methods PUT DELETE;
            create_full_put_path on; client_body_in_single_buffer on;
        }}
    }}
    {extra}
}}
"""


def nginx(scope: Scope, place: str = "nginx", *, extra: str = "", port: int = 0) -> Nginx:
    """Starts nginx with one worker. `extra` goes into its http block."""
    directory = Path(tempfile.mkdtemp(prefix="nginx-", dir=scope.files))
    directory.chmod(0o755)
    (directory / "files").mkdir()
    (directory / "files").chmod(0o777)
    (directory / "asked").write_text("0")
    port, status_port = port or free_port(), free_port()
    conf = directory / "nginx.conf"
    conf.write_text(
        _CONF.format(directory=directory, port=port, status_port=status_port, extra=extra)
    )
    log = (directory / "said").open("w")
    child = scope.start(
        place, ["/usr/sbin/nginx", "-p", str(directory), "-c", str(conf)], stderr=log
    )
    log.close()
    wait_listening(child, port, status_port)
    return Nginx(port=port, status_port=status_port, directory=directory, pid=child.pid)


def redis(scope: Scope, place: str = "redis") -> int:
    """Starts a Redis without persistence; answers its port."""
    port = free_port()
    argv = ["/usr/bin/redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    child = scope.start(place, argv, cwd=scope.files, stdout=subprocess.DEVNULL)
    wait_listening(child, port)
    return port
