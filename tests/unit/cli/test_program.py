# SPDX-License-Identifier: Apache-2.0
"""The command line's root: its help, its suggestions, its exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.unit.client.fake_agent import FakeAgent, edge
from undermesh.cli import main
from undermesh.cli.program import COMMANDS, undermesh_command


def test_one_line_help_is_that_of_the_command() -> None:
    context = click.Context(undermesh_command)
    for name, entry in COMMANDS.items():
        command = undermesh_command.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str(200) == entry.summary


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys; from undermesh.cli import main; main(['--help']);"
        "print([m for m in sys.modules if m.startswith('undermesh.cl')], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"\n  {name} " in ran.stdout for name in COMMANDS)
    assert "undermesh.client" not in ran.stderr
    assert "undermesh.cli.top" not in ran.stderr


def test_every_command_has_help_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        assert f"Usage: undermesh {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "near"), [("tpo", "top"), ("flow", "flows"), ("dropz", "drops"), ("statsu", "status")]
)
def test_wrong_name_suggests_the_nearest(
    wrong: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([wrong]) == 2
    assert f"did you mean '{near}'?" in capsys.readouterr().err


def test_name_like_no_other_points_to_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["xyzzy"]) == 2
    assert "`undermesh --help` lists them" in capsys.readouterr().err


def test_wrong_option_says_where_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--windw", "3"]) == 2
    said = capsys.readouterr().err
    assert "--window" in said
    assert "`undermesh top --help`" in said


def test_wrong_value_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--window", "soon"]) == 2
    assert "'soon' is no duration; try 10s" in capsys.readouterr().err


def test_no_agent_is_three_with_one_sentence(
    no_agent: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("top", "map", "flows", "tap", "drops", "workloads", "status"):
        assert main([command]) == 3
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert str(no_agent) in said.err
        assert "sudo undermesh up --detach" in said.err


def test_refused_question_is_one(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    problem = {"title": "Bad Request", "status": 400, "detail": "no", "diagnostics": ["because"]}
    agent.put("/v1/edges", problem, status=400)
    assert main(["top"]) == 1
    assert capsys.readouterr().err == (
        "undermesh: the agent answered 400 Bad Request: no\n  because\n"
    )


def test_where_options_work_before_and_after_the_command(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNDERMESH_SOCKET")
    assert main(["--socket", agent.target, "top"]) == 0
    assert main(["top", "--socket", agent.target]) == 0
    assert main(["--socket", "/nowhere", "top", "--socket", agent.target]) == 0


def test_interrupt_is_130_and_quiet(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("undermesh.client.Client.edges", interrupted)
    assert main(["top"]) == 130
    assert capsys.readouterr().err.strip() == ""


def test_head_closing_the_pipe_is_quiet(agent: FakeAgent) -> None:
    agent.put_edges([edge(f"client-{i}", "server") for i in range(20_000)])
    ran = subprocess.run(
        f"{sys.executable} -m undermesh top | head -n 2; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
    )
    assert ran.stderr == ""
    assert ran.stdout.startswith("CLIENT")
    assert ran.returncode == 141


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("undermesh ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_UNDERMESH_COMPLETE" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="needs geteuid")
def test_up_and_demo_without_root_say_sudo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for command in ("up", "down", "demo"):
        assert main([command]) == 1
        assert f"sudo undermesh {command}" in capsys.readouterr().err


def test_up_beside_a_running_agent_names_its_pid(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert main(["up", "--detach"]) == 1
    said = capsys.readouterr().err
    assert "already runs" in said
    assert "pid 4711" in said
