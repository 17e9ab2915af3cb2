# SPDX-License-Identifier: Apache-2.0
"""Services as applications meet them: a name, an address, somebody who answers; or a refusal."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.agents import Agent
from tests.e2e.places import Scope
from tests.e2e.servers import Nginx, free_port, nginx, peer
from tests.e2e.waiting import until

WEB = """\
apiVersion: undermesh.io/v1alpha1
kind: Service
metadata: {{name: {name}}}
spec:
  ports: [{{port: 80, targetPort: 80}}]
  endpoints: [{endpoints}]
  {more}
"""


def manifest(path: Path, name: str, *ports: int, more: str = "") -> str:
    endpoints = ", ".join(f"{{address: 127.0.0.1, port: {port}}}" for port in ports)
    path = path / f"{name}.yaml"
    path.write_text(WEB.format(name=name, endpoints=endpoints, more=more))
    return str(path)


def curl(scope: Scope, url: str, *flags: str) -> tuple[str, str]:
    """(status, seconds it took) of one request; status 000 when nobody answered."""
    said = ["-s", "-o", "/dev/null", "-m", "10", "-w", "%{http_code} %{time_total}", *flags]
    done = scope.run("curl", ["curl", *said, url], check=False)
    status, _, seconds = done.stdout.partition(" ")
    return status, seconds


@pytest.fixture
def up(agent: Agent) -> Agent:
    agent.up()
    return agent


def usable(agent: Agent, name: str) -> int:
    found = agent.call("explain", name, "--json", code=None)
    if found.returncode not in (0, 1) or not found.stdout:
        return -1
    ports = json.loads(found.stdout)["ports"]
    return sum(port["usable"] for port in ports)


def test_a_name_leads_to_a_backend(up: Agent, scope: Scope, tmp_path: Path) -> None:
    server = nginx(scope)
    up.call("apply", "-f", manifest(tmp_path, "cart", server.port))
    until(lambda: usable(up, "cart") == 1, what="cart to be in force")
    until(lambda: curl(scope, "http://cart/")[0] == "200", what="cart to answer")
    for said in ("cart", "cart.default", "cart.default.svc.mesh"):
        for family in ("-4", "-6"):
            assert curl(scope, f"http://{said}/", family)[0] == "200"
    row = up.row("curl", "nginx", protocol="http")
    assert row["port"] == server.port


def test_deleted_it_is_gone_at_once(up: Agent, scope: Scope, tmp_path: Path) -> None:
    server = nginx(scope)
    up.call("apply", "-f", manifest(tmp_path, "cart", server.port))
    until(lambda: curl(scope, "http://cart/")[0] == "200", what="cart to answer")
    up.call("delete", "Service.undermesh.io/default/cart")
    until(lambda: curl(scope, "http://cart/")[0] == "000", what="cart to be gone")
    assert up.call("explain", "cart", code=1).stderr


def test_nobody_left_is_refused_at_once_and_said(up: Agent, scope: Scope, tmp_path: Path) -> None:
    up.call("apply", "-f", manifest(tmp_path, "cart", free_port(), more="check: {tcp: {}}"))
    until(lambda: usable(up, "cart") == 0, what="the check to fail")
    address = up.call("explain", "cart", "--json", code=1)
    found = json.loads(address.stdout)
    assert "refused" in found["ports"][0]["backends"][0]["state"]
    begin = time.monotonic()
    done = scope.run(
        "curl", ["curl", "-sS", "-m", "10", f"http://{found['addresses'][0]}/"], check=False
    )
    assert done.returncode == 7, done.stderr
    assert time.monotonic() - begin < 5


def servers(scope: Scope, count: int) -> list[Nginx]:
    return [nginx(scope, f"web{number}") for number in range(count)]


def test_a_killed_backend_costs_only_what_was_in_flight(
    up: Agent, scope: Scope, tmp_path: Path
) -> None:
    three = servers(scope, 3)
    check = "check: {tcp: {}, interval: 200ms, timeout: 1s, unhealthyAfter: 1}"
    up.call("apply", "-f", manifest(tmp_path, "web", *(one.port for one in three), more=check))
    until(lambda: usable(up, "web") == 3, what="three backends")
    until(lambda: curl(scope, "http://web/")[0] == "200", what="web to answer")
    for line in (scope.path / "web0" / "cgroup.procs").read_text().split():
        os.kill(int(line), signal.SIGKILL)
    until(lambda: usable(up, "web") == 2, what="the dead one to be found")
    assert [curl(scope, "http://web/")[0] for _ in range(40)] == ["200"] * 40


def test_kill_9_of_the_agent_changes_nothing_for_addresses(
    up: Agent, scope: Scope, tmp_path: Path
) -> None:
    three = servers(scope, 3)
    up.call("apply", "-f", manifest(tmp_path, "web", *(one.port for one in three)))
    until(lambda: usable(up, "web") == 3, what="three backends")
    address = up.json("explain", "web")["addresses"][0]
    assert curl(scope, f"http://{address}/")[0] == "200"
    up.kill()
    assert [curl(scope, f"http://{address}/")[0] for _ in range(20)] == ["200"] * 20
    up.up()
    assert [curl(scope, f"http://{address}/")[0] for _ in range(20)] == ["200"] * 20
    until(lambda: usable(up, "web") == 3, what="three backends again")
    assert up.json("explain", "web")["addresses"][0] == address


def test_a_canary_gets_its_share(up: Agent, scope: Scope, tmp_path: Path) -> None:
    old, new = servers(scope, 2)
    text = f"""\
apiVersion: undermesh.io/v1alpha1
kind: Service
metadata: {{name: web}}
spec:
  ports: [{{port: 80, targetPort: 80}}]
  endpoints:
  - {{address: 127.0.0.1, port: {old.port}, labels: {{version: v1}}}}
  - {{address: 127.0.0.1, port: {new.port}, labels: {{version: v2}}}}
  splits:
  - {{weight: 90, labels: {{version: v1}}}}
  - {{weight: 10, labels: {{version: v2}}}}
"""
    (tmp_path / "web.yaml").write_text(text)
    up.call("apply", "-f", str(tmp_path / "web.yaml"))
    until(lambda: usable(up, "web") == 2, what="both versions")
    address = up.json("explain", "web")["addresses"][0]
    many = ["curl", "-s", "-H", "Connection: close"]
    for _ in range(600):
        many += ["-o", "/dev/null", f"http://{address}/"]
    scope.run("curl", many)
    got = old.counted(), new.counted()
    assert sum(got) == 600
    # chi-square with one degree of freedom; 10.83 is passed once in a thousand runs
    expected = (540, 60)
    assert sum((g - e) ** 2 / e for g, e in zip(got, expected, strict=True)) < 10.83


def test_a_workload_is_selected_by_its_name(up: Agent, scope: Scope, tmp_path: Path) -> None:
    server = nginx(scope, "shopcart")
    workload = scope.workload("shopcart")
    (tmp_path / "w.yaml").write_text(
        f"""\
apiVersion: undermesh.io/v1alpha1
kind: Workload
metadata: {{name: cart, labels: {{app: cart}}}}
spec:
  match: {{cgroup: /{workload}}}
---
apiVersion: v1
kind: Service
metadata: {{name: cart}}
spec:
  selector: {{app: cart}}
  ports: [{{port: 80, targetPort: {server.port}}}]
"""
    )
    up.call("apply", "-f", str(tmp_path / "w.yaml"))
    until(lambda: usable(up, "cart") == 1, what="the workload to be selected")
    until(lambda: curl(scope, "http://cart/")[0] == "200", what="cart to answer")
    server_row = json.loads(up.call("explain", "cart", "--json").stdout)
    assert "workload" in server_row["ports"][0]["backends"][0]["target"]


ASK = """
import socket
query = bytes.fromhex("123401000001000000000000") + b"\\7example\\4test\\0\\0\\1\\0\\1"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
    asking.settimeout(3)
    asking.sendto(query, ("127.0.0.9", 53))
    answer, resolver = asking.recvfrom(512)
print(*resolver, socket.inet_ntoa(answer[-4:]))
"""


def test_a_name_that_is_no_service_is_asked_where_it_was(
    up: Agent, scope: Scope, tmp_path: Path
) -> None:
    scope.start("resolver", peer("nameserver", "127.0.0.9", "example.test", "10.9.8.7"))
    up.call("apply", "-f", manifest(tmp_path, "cart", 81))
    until(lambda: usable(up, "cart") == 1, what="cart to be in force")

    def asked() -> str:
        done = scope.run("asker", ["/usr/bin/python3", "-c", ASK], check=False)
        return done.stdout.strip()

    until(lambda: asked() == "127.0.0.9 53 10.9.8.7", what="the resolver to answer")
