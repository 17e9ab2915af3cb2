# SPDX-License-Identifier: Apache-2.0
"""On a terminal commands are live and in colour; in a pipe they are lines."""

import re
import shlex
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.agents import COMMAND, Agent
from tests.e2e.places import Scope
from tests.e2e.servers import Nginx, nginx
from tests.e2e.terminals import ENTER, LEAVE, SHOW_CURSOR, Terminal
from tests.e2e.waiting import until

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def server(running: Agent, wide: Scope) -> Nginx:
    """With a request to show."""
    made = nginx(wide)
    wide.run("visitor", ["curl", "-sf", made.url])
    running.row("visitor", "nginx")
    return made


@pytest.fixture
def terminal(running: Agent, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    with Terminal([*COMMAND, *request.param.split()], running.environment()) as made:
        yield made


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("terminal", "keys", "code"), [("top", "\x03", 130), ("top", "q", 0)], indirect=["terminal"]
)
def test_top_gives_the_terminal_back(terminal: Terminal, keys: str, code: int) -> None:
    terminal.wait_for(ENTER)
    terminal.wait_for("quit")
    terminal.press("s")
    terminal.wait_for("s sort (requests)")
    terminal.resize(12, 70)
    terminal.press(keys)
    assert terminal.end() == code
    assert terminal.restored
    tail = terminal.said[terminal.said.rindex(ENTER) :]
    assert LEAVE in tail and SHOW_CURSOR in tail
    assert "Traceback" not in terminal.said


@pytest.mark.parametrize(
    "terminal", ["flows --follow", "tap --follow", "drops --follow"], indirect=True
)
def test_following_ends_with_ctrl_c(
    running: Agent, wide: Scope, server: Nginx, terminal: Terminal
) -> None:
    terminal.wait_for("Ctrl-C ends")
    wide.run("visitor", ["curl", "-s", f"{server.url}/broken"])
    running.caught_up()
    terminal.press("\x03")
    assert terminal.end() == 130
    assert terminal.restored and "Traceback" not in terminal.said


@pytest.mark.usefixtures("server")
def test_top_outlives_its_agent(agent: Agent, scope: Scope) -> None:
    agent.up()
    with Terminal([*COMMAND, "top"], agent.environment()) as terminal:
        terminal.wait_for("quit")
        agent.kill()
        terminal.wait_for("trying again")
        agent.up()
        terminal.wait_for("last 10", times=terminal.said.count("last 10") + 1)
        terminal.press("q")
        assert terminal.end() == 0


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["plain", "NO_COLOR", "dumb"],
)
def test_colours(running: Agent, variables: dict[str, str], coloured: bool) -> None:
    argv = [
        "env",
        *(f"{k}={v}" for k, v in variables.items()),
        *COMMAND,
        "top",
        "--once",
        "--total",
    ]
    with Terminal(argv, running.environment()) as terminal:
        assert terminal.end() == 0
        assert "visitor" in terminal.said
        assert bool(COLOUR.search(terminal.said)) == coloured


@pytest.mark.usefixtures("server")
def test_no_colours_in_a_pipe(running: Agent) -> None:
    for view in ("top --once --total", "top", "map --total", "flows", "tap", "drops", "status"):
        assert not COLOUR.search(running.call(*view.split()).stdout)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("view", ["top --total --json", "status", "flows --json", "map --total"])
def test_a_reader_that_has_enough(running: Agent, view: str) -> None:
    """`| head` is no reason to complain."""
    command = f"{shlex.join(COMMAND)} {view} | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=running.environment(), capture_output=True)
    assert done.stderr == b""
    assert done.returncode in (0, 128 + signal.SIGPIPE)


def test_following_ends_with_its_reader(running: Agent, wide: Scope, server: Nginx) -> None:
    command = f"{shlex.join(COMMAND)} flows --follow --json | head -n 1; exit ${{PIPESTATUS[0]}}"
    with subprocess.Popen(
        ["bash", "-c", command], env=running.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip

        def ended() -> bool:
            wide.run("visitor", ["curl", "-sf", server.url])
            return child.poll() is not None

        until(ended, what="the pipe to end", every=0.3)
        said, complaints = child.communicate()
    assert said.count("\n") == 1 and complaints == ""
    assert child.returncode in (0, 128 + signal.SIGPIPE)
