# SPDX-License-Identifier: Apache-2.0
"""nginx and Redis as Debian ships them, with configurations of our own in a directory of our own:
no system service is touched, and nothing listens beyond loopback."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

# Debian keeps servers where users' PATH does not look.
_SEARCH = f"{os.defpath}:/usr/sbin:/sbin:/usr/local/sbin:/usr/local/bin"
_PACKAGES = {"nginx": "nginx", "redis-server": "redis-server"}
_ROUTES = {
    "/api/products": "catalog",
    "/api/cart": "cart",
    "/api/checkout": "checkout",
    "/api/recommendations": "recommend",
}


class Missing(Exception):
    """Programs the demo needs and this host does not have; `packages` are Debian's."""

    def __init__(self, programs: tuple[str, ...]) -> None:
        super().__init__(f"the demo needs {' and '.join(programs)}")
        self.packages = tuple(_PACKAGES[program] for program in programs)


def find() -> dict[str, str]:
    """Paths of nginx and redis-server. Raises `Missing`."""
    found = {program: shutil.which(program, path=_SEARCH) for program in _PACKAGES}
    missing = tuple(program for program, path in found.items() if path is None)
    if missing:
        raise Missing(missing)
    return {program: path for program, path in found.items() if path is not None}


def nginx_command(binary: str, directory: Path, port: int, peers: Mapping[str, int]) -> list[str]:
    """Writes the configuration below `directory`; the command that runs it in the foreground."""
    html = directory / "html"
    html.mkdir()
    (html / "index.html").write_text("<!doctype html><title>Shop</title><h1>Shop</h1>\n" * 20)
    configuration = directory / "nginx.conf"
    configuration.write_text(_nginx(directory, port, peers))
    return [
        binary,
        "-p",
        str(directory),
        "-e",
        str(directory / "error.log"),
        "-c",
        str(configuration),
    ]


def redis_command(binary: str, directory: Path, port: int) -> list[str]:
    """Redis in memory only."""
    return [
        binary,
        *("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
        *("--dir", str(directory), "--daemonize", "no"),
    ]


def _nginx(directory: Path, port: int, peers: Mapping[str, int]) -> str:
    upstreams = "".join(
        f"  upstream {name} {{ server 127.0.0.1:{peers[name]}; keepalive 16; }}\n"
        for name in _ROUTES.values()
    )
    locations = "".join(
        f"    location {path} {{ proxy_pass http://{name}; }}\n" for path, name in _ROUTES.items()
    )
    temporary = "".join(
        f"  {kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
events {{ worker_connections 512; }}
http {{
{temporary}{upstreams}  access_log off;
  keepalive_requests 1000000;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_next_upstream off;
  server {{
    listen 127.0.0.1:{port};
    root {directory}/html;
{locations}  }}
}}
"""
