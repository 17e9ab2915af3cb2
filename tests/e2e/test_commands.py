# SPDX-License-Identifier: Apache-2.0
"""How commands end: 0 done, 1 the answer is no, 2 wrong use, 3 no agent; and what they say then."""

import signal

import pytest

from tests.e2e.agents import COMMAND, Agent
from tests.e2e.waiting import until

NOBODY = (
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
    "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
)  # fmt: skip
"""A user without rights, but for reading the interpreter wherever it was installed."""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--help",), 0, ""),
        (("--version",), 0, ""),
        ((), 2, "Usage:"),
        (("tpo",), 2, "did you mean 'top'?"),
        (("top", "--sort", "colour"), 2, "colour"),
        (("top", "--window", "soon"), 2, "soon"),
        (("flows", "--port", "70000"), 2, "70000"),
        (("up", "--no-such-flag"), 2, "--no-such-flag"),
        (("run",), 2, "CMD"),
        (("run", "--label", "novalue", "--", "true"), 2, "novalue"),
        (("tap", "--errors", "--slow"), 2, "exclude"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use_is_said(absent: Agent, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = absent.call(*arguments, code=code)
    assert said in (done.stderr or done.stdout)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    ["status", "top --once", "top --json", "map", "flows", "flows --follow", "tap", "drops",
     "workloads", "run -- true"],
)  # fmt: skip
def test_no_agent_is_one_sentence(absent: Agent, arguments: str) -> None:
    done = absent.call(*arguments.split(), code=3)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert str(absent.socket) in done.stderr and "undermesh up --detach" in done.stderr


@pytest.mark.parametrize("flags", [("--detach",), ()], ids=["detached", "foreground"])
def test_a_second_agent_is_refused(running: Agent, flags: tuple[str, ...]) -> None:
    done = running.call("up", *flags, code=1)
    assert f"pid {running.pid}" in done.stderr and "undermesh down" in done.stderr


def test_settings_that_do_not_hold_are_all_told(absent: Agent) -> None:
    done = absent.call("up", "--node", "no name", "--listen", "192.0.2.1:80", code=2)
    assert "192.0.2.1" in done.stderr and "no name" in done.stderr
    assert absent.pid == 0


@pytest.mark.parametrize("flags", [("--detach",), ()], ids=["detached", "foreground"])
def test_a_scope_that_is_not_there(absent: Agent, flags: tuple[str, ...]) -> None:
    done = absent.call("up", "--scope", "/no/such/cgroup", *flags, code=1)
    assert "/no/such/cgroup" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["up", "down", "demo"])
def test_root_is_asked_for(absent: Agent, command: str) -> None:
    absent.directory.chmod(0o755)
    done = absent.call(command, code=1, command=(*NOBODY, *COMMAND))
    assert "needs root" in done.stderr and "sudo" in done.stderr


def test_down_without_an_agent_and_again(agent: Agent) -> None:
    assert "nothing of undermesh was here" in agent.down().stdout
    agent.up()
    agent.kill()
    assert "removed" in agent.down().stdout
    assert "nothing of undermesh was here" in agent.down().stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_agent_ends_when_told_and_goes_on_counting(agent: Agent, number: int) -> None:
    child = agent.spawn()
    until(agent.socket.exists, what="the agent")
    child.send_signal(number)
    assert child.wait(timeout=20) == 0
    agent.call("status", code=3)
    agent.up()
    assert agent.status()["adopted"]


def test_doctor(absent: Agent) -> None:
    found = absent.json("doctor")
    assert found["fit"] is True
    assert {check["name"] for check in found["checks"] if check["needed"]}
    assert set(found["checks"][0]) == {"name", "ok", "needed", "found", "cost_if_missing", "remedy"}
    assert "fit for undermesh" in absent.call("doctor").stdout
