# SPDX-License-Identifier: Apache-2.0
"""`down` leaves the host as it was."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agents import COMMAND, Agent, lives
from tests.e2e.hooks import on_hooks
from tests.e2e.places import Scope, cgroup2
from tests.e2e.waiting import until
from undermesh.kernel import inventory, libbpf, links, pins

PINS = Path("/sys/fs/bpf/undermesh")


def pinned(instance: str) -> set[Path]:
    return {path for path in (PINS / instance).rglob("*") if path.is_file()}


def linked_programs(instance: str) -> set[int]:
    """Ids of the programs on an instance's hooks."""
    found: set[int] = set()
    for path in pinned(instance):
        if path.parent.name == "links":
            fd = pins.open_pin(path)
            assert fd is not None
            found.add(links.facts(fd).program_id)
            libbpf.close(fd)
    return found


def loaded() -> set[int]:
    return {program.id for program in inventory.every_program()}


@pytest.fixture
def command_in_run(agent: Agent) -> Iterator[subprocess.Popen[str]]:
    """A command of `undermesh run` that goes on until its input ends."""
    agent.up()
    argv = [*COMMAND, "run", "--name", "steady", "--", "sh", "-c", "echo on; cat"]
    with subprocess.Popen(
        argv, env=agent.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == "on\n"
        yield child


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_nothing_is_left(
    agent: Agent, scope: Scope, command_in_run: subprocess.Popen[str], killed: bool
) -> None:
    pid, ours = agent.pid, linked_programs(agent.instance)
    assert len(ours) > 10 and len(pinned(agent.instance)) > 30 and on_hooks(scope.path)
    top = scope.path / f"undermesh-{agent.instance}"
    assert top.is_dir()
    if killed:
        agent.kill()
    agent.down()
    until(lambda: not ours & loaded(), what="the programs to go")
    assert not (PINS / agent.instance).exists()
    assert on_hooks(scope.path) == {}
    assert not top.exists()
    assert not agent.socket.exists() and agent.pid == 0
    assert not lives(pid)
    assert command_in_run.poll() is None


def test_totals_begin_anew(agent: Agent, scope: Scope) -> None:
    agent.up()
    first = agent.status()["since"]
    agent.down()
    agent.up()
    status = agent.status()
    assert status["since"] > first and not status["adopted"]
    assert agent.edges() == []


def test_where_nothing_is_said(name: str) -> None:
    """No configuration, no scope: the usual paths, the whole host."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("UNDERMESH_")}

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [*COMMAND, "--instance", name, *arguments], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    places = (
        Path(f"/run/undermesh/{name}.sock"),
        Path(f"/var/lib/undermesh/{name}/state.db"),
        Path(f"/var/log/undermesh/{name}.log"),
    )
    try:
        assert str(places[0]) in call("up", "--detach")
        assert all(path.exists() for path in places)
        assert places[0].stat().st_mode & 0o777 in (0o600, 0o660)
        assert set(on_hooks(cgroup2())) >= {"cgroup_inet_ingress", "cgroup_inet_egress"}
        call("run", "--name", "one", "--", "true")
        assert not (cgroup2() / f"undermesh-{name}").exists()
    finally:
        call("down")
        for path in (places[1], places[2]):
            path.unlink(missing_ok=True)
        if places[1].parent.exists():
            for path in places[1].parent.iterdir():
                path.unlink()
            places[1].parent.rmdir()
    assert not places[0].exists() and not (PINS / name).exists()
