# SPDX-License-Identifier: Apache-2.0
"""What is not HTTP/1.x is recognised for what it is, and shown with its connections."""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.agents import Agent
from tests.e2e.places import Scope
from tests.e2e.servers import Nginx, free_port, nginx, redis
from tests.e2e.waiting import until

SNI = "shop.example.org"


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {"tls": free_port(), "h2c": free_port()}


@pytest.fixture(scope="module")
def server(wide: Scope, ports: dict[str, int]) -> Nginx:
    """nginx that speaks TLS on one port and HTTP/2 without it on another."""
    key, certificate = wide.files / "key", wide.files / "certificate"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", f"/CN={SNI}", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    extra = f"""server {{
        listen 127.0.0.1:{ports["tls"]} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{ return 200 "secret"; }}
    }}
    server {{
        listen 127.0.0.1:{ports["h2c"]} http2;
        location / {{ return 200 "second"; }}
    }}"""
    return nginx(wide, extra=extra)


@pytest.mark.parametrize(
    ("version", "alpn"), [("1.3", "h2"), ("1.3", "http/1.1"), ("1.2", "h2")], ids=str
)
def test_tls(
    running: Agent, wide: Scope, server: Nginx, ports: dict[str, int], version: str, alpn: str
) -> None:
    port, place = ports["tls"], f"tls-{version}-{alpn.replace('/', '')}"
    name = f"{alpn[:2]}-{version[-1]}.{SNI}"
    flags = ["--tls-max", version, "--http1.1" if alpn == "http/1.1" else "--http2"]
    url = f"https://{name}:{port}/"
    for _ in range(2):
        wide.run(place, ["curl", "-sSkf", *flags, "--resolve", f"{name}:{port}:127.0.0.1", url])
    row = running.row(place, "nginx", port=port)
    assert (row["protocol"], row["tls_names"]) == ("tls", [name])
    assert (row["connections"], row["open"], row["requests"], row["errors"]) == (2, 0, 0, 0)
    assert row["tx_bytes"] > 500 and row["rx_bytes"] > 1000 and row["p50_ms"] is None
    flows = [flow for flow in running.flows() if flow["client"] == wide.workload(place)]
    assert [(f["sni"], f["alpn"], f["tls_version"]) for f in flows] == [(name, alpn, version)] * 2


def test_http2_without_tls(
    running: Agent, wide: Scope, server: Nginx, ports: dict[str, int]
) -> None:
    url = f"http://127.0.0.1:{ports['h2c']}/"
    for _ in range(2):
        wide.run("second", ["curl", "-sSf", "--http2-prior-knowledge", url])
    row = running.row("second", "nginx", port=ports["h2c"])
    assert (row["protocol"], row["connections"], row["requests"]) == ("http2", 2, 0)


def test_redis(running: Agent, wide: Scope) -> None:
    port = redis(wide)
    for _ in range(3):
        said = wide.run("asking-redis", ["redis-cli", "-p", str(port), "PING"])
        assert said.stdout.strip() == "PONG"
    row = running.row("asking-redis", "redis", port=port)
    assert (row["protocol"], row["connections"], row["requests"]) == ("tcp", 3, 0)
    assert row["open"] == 0 and row["rx_bytes"] > 0 and row["rtt_us"] > 0


def test_a_refused_connection(running: Agent, wide: Scope) -> None:
    port = free_port()
    for _ in range(3):
        wide.run("refused", ["curl", "-s", f"http://127.0.0.1:{port}/"], check=False)
    [row] = running.total(client="refused")
    assert (row["port"], row["connections"], row["failures"]) == (port, 0, 3)
    assert row["failures_by_reason"]["refused"] == 3 and row["requests"] == row["errors"] == 0
    flows = running.flows("--state", "failed", "--port", str(port))
    assert [flow["reason"] for flow in flows] == ["refused"] * 3
    assert {flow["server_address"] for flow in flows} == {"127.0.0.1"}


def test_an_attempt_given_up(running: Agent, wide: Scope) -> None:
    """A listener whose queue is full does not answer; curl gives up after a second."""
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        first.connect(("127.0.0.1", port))
        argv = ["curl", "-s", "--connect-timeout", "1", f"http://127.0.0.1:{port}/"]
        done = wide.run("giving-up", argv, check=False)
    assert done.returncode == 28
    [row] = running.total(client="giving-up")
    assert (row["connections"], row["failures"], row["port"]) == (0, 1, port)
    assert row["failures_by_reason"]["aborted"] + row["failures_by_reason"]["timeout"] == 1


def test_udp(running: Agent, wide: Scope) -> None:
    port = free_port()
    server = wide.start("datagrams", ["nc", "-u", "-l", "127.0.0.1", str(port)], stdout=-1)
    bound = f":{port:04X} "
    until(lambda: bound in Path("/proc/net/udp").read_text(), what="nc to have its port")
    wide.run("sending", ["nc", "-u", "-w", "1", "127.0.0.1", str(port)], input="ten bytes\n",
             stdin=None)  # fmt: skip
    assert server.stdout is not None and server.stdout.read(10) == b"ten bytes\n"
    row = running.row("sending", "datagrams", port=port)
    assert (row["protocol"], row["connections"], row["tx_bytes"]) == ("udp", 1, 10)
    assert (row["tx_packets"], row["rx_packets"]) == (1, 0)
