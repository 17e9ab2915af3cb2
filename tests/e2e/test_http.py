# SPDX-License-Identifier: Apache-2.0
"""Every HTTP/1.x conversation is counted as what it was: real clients, real servers."""

import subprocess

import pytest

from tests.e2e.agents import Agent
from tests.e2e.places import Scope
from tests.e2e.servers import Nginx, free_port, nginx, peer, serve

METHODS = {"GET": 3, "POST": 2, "PUT": 1, "DELETE": 2, "PATCH": 1, "OPTIONS": 1}


@pytest.fixture(scope="module")
def backend(wide: Scope) -> int:
    return serve(wide, "plain")


@pytest.fixture(scope="module")
def server(wide: Scope, backend: int) -> Nginx:
    """nginx, and before the HTTP/1.0 server a proxy that turns its answers into chunks."""
    port = free_port()
    extra = f"""server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{backend}; proxy_buffering off; }}
    }}"""
    made = nginx(wide, extra=extra)
    (made.directory / "proxy_port").write_text(str(port))
    return made


def curl(scope: Scope, place: str, *arguments: str, check: bool = True) -> str:
    """What curl prints, bodies thrown away."""
    return scope.run(place, ["curl", "-sS", "-o", "/dev/null", *arguments], check=check).stdout


def test_methods(running: Agent, wide: Scope, server: Nginx) -> None:
    for method, count in METHODS.items():
        for _ in range(count):
            body = ["-d", "x=1"] if method in ("POST", "PUT", "PATCH") else []
            curl(wide, "methods", "-X", method, *body, server.url)
    for _ in range(2):
        curl(wide, "methods", "--head", server.url)
    row = running.row("methods", "nginx", port=server.port)
    assert row["by_method"] == METHODS | {"HEAD": 2}
    assert row["by_status"] == {"200": 12} and row["requests"] == 12
    assert row["connections"] == 12
    assert (row["protocol"], row["errors"], row["open"], row["desync"]) == ("http", 0, 0, 0)


def test_one_connection_for_many_requests(running: Agent, wide: Scope, server: Nginx) -> None:
    urls = [f"{server.url}/{number}" for number in range(25)]
    curl(wide, "keeping", *[word for url in urls for word in ("-o", "/dev/null", url)])
    row = running.row("keeping", "nginx", port=server.port)
    assert (row["requests"], row["connections"]) == (25, 1)


def test_statuses_and_errors(running: Agent, wide: Scope, server: Nginx) -> None:
    for path, times in (("/", 6), ("/missing", 2), ("/broken", 3)):
        for _ in range(times):
            curl(wide, "statuses", server.url + path)
    row = running.row("statuses", "nginx", port=server.port)
    assert row["by_status"] == {"200": 6, "404": 2, "503": 3}
    assert (row["requests"], row["errors"], row["cut"]) == (11, 3, 0)


def test_a_large_upload_with_100_continue(running: Agent, wide: Scope, server: Nginx) -> None:
    size = 8 << 20
    file = wide.files / "large"
    file.write_bytes(b"GET / HTTP/1.1\r\n\r\n" * (size // 18) + b"x" * (size % 18))
    headers = ["--http1.1", "-H", "Expect: 100-continue", "-w", "%{http_code} %{size_request}"]
    said = curl(wide, "uploading", *headers, "-T", str(file), f"{server.url}/dav/large")
    status, head = said.split()
    row = running.row("uploading", "nginx", port=server.port)
    assert row["by_status"] == {status: 1} == {"201": 1}
    assert row["by_method"] == {"PUT": 1}
    assert row["request_bytes"] == row["tx_bytes"] == int(head) + size


def test_chunks_both_ways(running: Agent, wide: Scope, server: Nginx, backend: int) -> None:
    proxy = (server.directory / "proxy_port").read_text()
    file = wide.files / "chunked"
    file.write_bytes(b"HTTP/1.1 200 OK\r\n\r\n" * 5000)
    chunked = ["-H", "Transfer-Encoding: chunked", "-T", str(file)]
    for _ in range(3):
        curl(wide, "chunking", *chunked, f"http://127.0.0.1:{proxy}/x")
    row = running.row("chunking", "nginx", port=int(proxy))
    assert row["by_method"] == {"PUT": 3} and row["by_status"] == {"200": 3}
    assert row["request_bytes"] > 3 * 95_000 and row["response_bytes"] > 3 * 4000
    behind = running.row("nginx", "plain", port=backend)
    assert behind["by_method"]["PUT"] == 3


def test_answers_that_end_with_the_connection(running: Agent, wide: Scope, backend: int) -> None:
    for _ in range(4):
        curl(wide, "until-close", "--http1.0", f"http://127.0.0.1:{backend}/")
    row = running.row("until-close", "plain")
    assert (row["requests"], row["connections"], row["cut"]) == (4, 4, 0)
    assert row["response_bytes"] == row["rx_bytes"] > 4 * 4000


def test_fifty_requests_in_one_go(running: Agent, wide: Scope, server: Nginx) -> None:
    ask = "GET /{} HTTP/1.1\r\nHost: here\r\nConnection: {}\r\n\r\n"
    text = "".join(ask.format(n, "close" if n == 49 else "keep-alive") for n in range(50))
    said = wide.run("pipelining", ["nc", "127.0.0.1", str(server.port)], input=text, stdin=None)
    assert said.stdout.count("HTTP/1.1 200 OK") == 50
    row = running.row("pipelining", "nginx", port=server.port)
    assert (row["requests"], row["connections"], row["cut"], row["desync"]) == (50, 1, 0, 0)
    assert row["by_method"] == {"GET": 50}


def test_an_answer_before_the_request_ends(running: Agent, wide: Scope, server: Nginx) -> None:
    file = wide.files / "too-large"
    file.write_bytes(b"y" * (4 << 20))
    arguments = ["-H", "Expect:", "-T", str(file), f"{server.url}/small"]
    curl(wide, "too-much", *arguments, check=False)
    row = running.row("too-much", "nginx", port=server.port)
    assert row["by_status"] == {"413": 1} and row["by_method"] == {"PUT": 1}
    assert (row["requests"], row["errors"], row["cut"]) == (1, 0, 0)


@pytest.mark.parametrize("role", ["closer", "resetter"])
def test_a_server_that_does_not_answer(running: Agent, wide: Scope, role: str) -> None:
    port = serve(wide, role)
    for _ in range(3):
        curl(wide, f"hoping-{role}", f"http://127.0.0.1:{port}/", check=False)
    row = running.row(f"hoping-{role}", role)
    assert (row["requests"], row["errors"], row["cut"]) == (0, 3, 3)
    assert row["by_status"] == {} or row["by_status"] == {"0": 3}
    assert row["resets"] == (3 if role == "resetter" else 0)
    assert (row["connections"], row["failures"]) == (3, 0)


def test_time_to_the_first_byte(running: Agent, wide: Scope, backend: int) -> None:
    for _ in range(5):
        curl(wide, "waiting", f"http://127.0.0.1:{backend}/slow")
    row = running.row("waiting", "plain")
    assert row["requests"] == 5
    for name in ("p50_ms", "p99_ms", "mean_ms", "total_mean_ms"):
        assert 195 <= row[name] <= 300


def test_a_large_download(running: Agent, wide: Scope, server: Nginx) -> None:
    (server.directory / "files" / "big").write_bytes(b"HTTP/1.1 500 No\r\n\r\n" * 500_000)
    sizes = "%{size_download} %{size_header}"
    said = curl(wide, "downloading", "-w", sizes, f"{server.url}/files/big")
    body, head = map(int, said.split())
    row = running.row("downloading", "nginx", port=server.port)
    assert row["by_status"] == {"200": 1}
    assert row["response_bytes"] == row["rx_bytes"] == body + head
    assert row["total_mean_ms"] >= row["mean_ms"]


def test_ipv6(running: Agent, wide: Scope, server: Nginx) -> None:
    curl(wide, "sixth", f"http://[::1]:{server.port}/")
    row = running.row("sixth", "nginx", port=server.port)
    assert (row["requests"], row["connections"]) == (1, 1)
    [flow] = [f for f in running.flows() if f["client"] == wide.workload("sixth")]
    assert flow["client_address"] == flow["server_address"] == "::1"


def test_what_is_no_http_is_not_called_so(running: Agent, wide: Scope) -> None:
    port = serve(wide, "echo")
    for text in ("GETTING READY\n", "HTTP is nice\n", "\x00\x01\x02"):
        said = wide.run("talking", ["nc", "-N", "127.0.0.1", str(port)], input=text, stdin=None)
        assert said.stdout == text
    row = running.row("talking", "echo")
    assert (row["protocol"], row["requests"], row["errors"]) == ("tcp", 0, 0)
    assert row["connections"] == 3
    assert row["tx_bytes"] == row["rx_bytes"] == 30


def test_connections_older_than_the_agent(agent: Agent, scope: Scope) -> None:
    server = nginx(scope)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    keeper = scope.start("keeper", peer("keeper", "127.0.0.1", str(server.port)), **pipes)

    def ask(path: str, times: int) -> None:
        for _ in range(times):
            keeper.stdin.write(f"{path}\n")
            keeper.stdin.flush()
            assert keeper.stdout.readline()

    ask("/", 5)
    agent.up()
    ask("/", 4)
    ask("/broken", 3)
    row = agent.row("keeper", "nginx")
    assert row["by_status"] == {"200": 4, "503": 3}
    assert (row["requests"], row["errors"], row["open"], row["desync"]) == (7, 3, 1, 0)
    [flow] = agent.flows()
    assert (flow["state"], flow["requests"]) == ("open", 7)
