# SPDX-License-Identifier: Apache-2.0
"""Every file in examples/ does what it says."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e import agents
from tests.e2e.agents import COMMAND, ROOT, Agent
from tests.e2e.places import Scope
from tests.e2e.servers import free_port, nginx
from tests.e2e.waiting import until

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def usual(wide: Scope) -> Iterator[Agent]:
    """An agent whose socket is where examples look for it."""
    settings = {"agent": {"runtime_dir": "/run/undermesh"}}
    with agents.agent(instance=wide.name, scope=wide, settings=settings) as made:
        made.env["UNDERMESH"] = COMMAND[0]
        made.up()
        yield made


def python(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / name), *arguments]


def test_all_are_run_here() -> None:
    names = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert names == {"failing_connections.py", "slowest_edges.py", "two_workloads.sh"}


def test_two_workloads(usual: Agent, wide: Scope) -> None:
    env = usual.environment() | {"PORT": str(free_port())}
    argv = ["sh", str(EXAMPLES / "two_workloads.sh")]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    [line] = [one for one in done.stdout.splitlines() if one.startswith("visitor")]
    assert line.split()[1] == "web" and "http" in line
    until(lambda: not list(wide.path.glob("undermesh-*/default/*")), what="the runs to be gone")


def test_slowest_edges(usual: Agent, wide: Scope) -> None:
    server = nginx(wide)
    wide.run("slow-visitor", ["curl", "-sf", server.url])
    usual.row("slow-visitor", "nginx", port=server.port)
    argv = python("slowest_edges.py", usual.instance)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (
        f"{wide.workload('slow-visitor')} → {wide.workload('nginx')}:{server.port}" in done.stdout
    )


def test_failing_connections(usual: Agent, wide: Scope) -> None:
    port = free_port()
    argv = python("failing_connections.py", "2", usual.instance)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:

        def ended() -> bool:
            wide.run("failing", ["curl", "-s", f"http://127.0.0.1:{port}/"], check=False)
            return child.poll() is not None

        until(ended, what="two failures to be told", every=0.3)
        lines = child.stdout.read().splitlines()
    assert child.returncode == 0
    assert len(lines) == 2
    assert all(line.startswith(wide.workload("failing")) for line in lines)
    assert all(line.endswith(f":{port}: refused") for line in lines)
