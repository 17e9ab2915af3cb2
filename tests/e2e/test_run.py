# SPDX-License-Identifier: Apache-2.0
"""`undermesh run` stands in for its command, and gives it a name."""

import signal
import subprocess

import pytest

from tests.e2e.agents import COMMAND, Agent
from tests.e2e.places import Scope
from tests.e2e.servers import nginx
from tests.e2e.waiting import until

TRAPPING = """
import signal, sys
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda n, _: sys.exit(40 + n))
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
        (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
        (["no-such-command-at-all"], 127),
        (["/etc/hostname"], 126),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_exit_code_is_the_commands(running: Agent, command: list[str], code: int) -> None:
    done = running.call("run", "--", *command, code=code)
    assert done.stdout == ""
    if code in (126, 127):
        assert command[0] in done.stderr


def test_pipes_and_arguments_pass_through(running: Agent) -> None:
    argv = ("run", "--name", "cat", "--", "sh", "-c", 'cat; echo "$0 $1" >&2', "one", "--two")
    done = running.call(*argv, input="text\n")
    assert (done.stdout, done.stderr) == ("text\n", "one --two\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_command(running: Agent, number: int) -> None:
    argv = [*COMMAND, "run", "--name", "trap", "--", "/usr/bin/python3", "-c", TRAPPING]
    with subprocess.Popen(
        argv, env=running.environment(), stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        child.send_signal(number)
        assert child.wait(timeout=20) == 40 + number


def test_name_namespace_and_labels_are_shown(running: Agent, wide: Scope) -> None:
    server = nginx(wide)
    script = f"curl -sf {server.url} && echo done && cat"
    argv = [*COMMAND, "run", "--name", "caller", "-n", "shop", "-l", "tier=front", "-l", "v=2"]
    with subprocess.Popen(
        [*argv, "--", "sh", "-c", script],
        env=running.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout.readline() == "hello\n" and child.stdout.readline() == "done\n"

        def listed() -> list[dict]:
            found = running.json("workloads", "-n", "shop")["workloads"]
            return [row for row in found if row["name"] == "caller"]

        [row] = until(listed, what="the workload")
        assert row["labels"] == {"tier": "front", "v": "2"}
        assert (row["kind"], row["exe"], row["gone"]) == ("run", "curl", None)
        assert (wide.path / row["cgroup"].removeprefix(f"/{wide.name}/")).is_dir()
        child.stdin.close()
        assert child.wait(timeout=20) == 0
    running.caught_up()
    [edge] = running.edges("-n", "shop")
    assert (edge["client"], edge["client_namespace"], edge["requests"]) == ("caller", "shop", 1)
    assert not list(wide.path.glob("undermesh-*/shop/*"))


@pytest.mark.parametrize(
    "flags", [("--name", "Not A Name"), ("--name", "../up"), ("-n", "UPPER"), ("-l", "=x")], ids=str
)
def test_names_that_will_not_do(running: Agent, flags: tuple[str, ...]) -> None:
    done = running.call("run", *flags, "--", "true", code=None)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr and done.stderr.startswith("undermesh: ")


def test_it_goes_on_without_the_agent(agent: Agent, scope: Scope) -> None:
    """Neither the agent's death nor `down` ends a command that was started through it."""
    agent.up()
    argv = [*COMMAND, "run", "--name", "steady", "--", "sh", "-c", "echo on; cat; exit 5"]
    with subprocess.Popen(
        argv, env=agent.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "on\n"
        agent.kill()
        agent.down()
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(timeout=20) == 5
    assert not list(scope.path.glob("undermesh-*"))
