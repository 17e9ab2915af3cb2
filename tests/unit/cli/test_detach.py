# SPDX-License-Identifier: Apache-2.0
"""`up --detach` waits until the agent answers, and shows why when it does not."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from undermesh import config
from undermesh.cli import detach
from undermesh.cli.outcome import Refusal

AGENT = """\
import os, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.unit.client.fake_agent import FakeAgent, serving
time.sleep(0.2)
agent = FakeAgent()
agent.put_status(pid=os.getpid())
with serving(agent, socket=Path({socket!r})):
    time.sleep(60)
"""


@pytest.fixture
def settings(tmp_path: Path) -> config.Config:
    flags = {"agent.log_dir": str(tmp_path / "log"), "api.socket": str(tmp_path / "a.sock")}
    return config.load(file=Path(os.devnull), environ={}, flags=flags)


def test_agent_that_answers_is_told_about(
    settings: config.Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = tmp_path / "agent.py"
    root = str(Path(__file__).parents[3])
    script.write_text(AGENT.format(root=root, socket=str(settings.socket)))
    shim = tmp_path / "python"
    shim.write_text(f"#!/bin/sh\nexec {sys.executable} {script}\n")
    shim.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(shim))
    assert detach.start(settings, []) == 0
    said = capsys.readouterr().out
    pid = int(said.split("pid ")[1].split(",")[0])
    os.kill(pid, signal.SIGTERM)
    assert str(settings.socket) in said
    assert "top" in said
    assert str(settings.agent.detach_log) in said


def test_agent_that_ends_is_quoted(
    settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.agent.detach_log.parent.mkdir()
    settings.agent.detach_log.write_text("a line of an earlier run\n")
    with pytest.raises(Refusal, match="did not come up: it ended with 2") as error:
        detach.start(settings, ["--no-such-option"])
    said = capsys.readouterr().err
    assert "No such option" in said
    assert "earlier run" not in said
    assert str(settings.agent.detach_log) in error.value.hint
