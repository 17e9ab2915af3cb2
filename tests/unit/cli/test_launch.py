# SPDX-License-Identifier: Apache-2.0
"""A command run by `undermesh run` behaves as if it were run alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.client.fake_agent import FakeAgent
from undermesh.cli import launch, main
from undermesh.cli.outcome import Refusal


@pytest.fixture
def group(tmp_path: Path, agent: FakeAgent) -> Path:
    """A directory that takes pids as a cgroup does; the agent hands it out."""
    path = tmp_path / "group"
    path.mkdir()
    (path / "cgroup.procs").touch()
    answer = {"id": "w1", "namespace": "default", "name": "x", "cgroup": str(path)}
    agent.put("/v1/workloads", answer, method="POST", status=201)
    agent.put("/v1/workloads/w1", None, method="DELETE", status=204)
    return path


def run(*command: str) -> int:
    return main(["run", "--name", "x", "--", *command])


@pytest.mark.parametrize("code", [0, 1, 3, 77, 255])
def test_exit_code_comes_back(group: Path, code: int) -> None:
    assert run("sh", "-c", f"exit {code}") == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_death_by_signal_is_128_and_its_number(group: Path, number: signal.Signals) -> None:
    assert run("sh", "-c", f"kill -{number.value} $$") == 128 + number


def test_command_is_in_the_cgroup_and_gives_it_back(group: Path, agent: FakeAgent) -> None:
    assert run("true") == 0
    assert (group / "cgroup.procs").read_text() == "0"
    assert [(method, path) for method, path, _, _ in agent.asked] == [
        ("POST", "/v1/workloads"),
        ("DELETE", "/v1/workloads/w1"),
    ]


def test_name_namespace_and_labels_are_registered(group: Path, agent: FakeAgent) -> None:
    assert main(["run", "-n", "prod", "-l", "a=1", "-l", "b=x=y", "--", "/bin/True2"]) == 127
    body = agent.asked[0][3]
    assert isinstance(body, dict)
    assert (body["name"], body["namespace"]) == ("true2", "prod")
    assert body["labels"] == {"a": "1", "b": "x=y"}


def test_missing_command_is_127(group: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("/no/such/command") == 127
    assert capsys.readouterr().err == "undermesh: there is no command '/no/such/command'\n"


def test_directory_and_plain_file_are_126(
    group: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain").write_text("x")
    assert run(str(tmp_path / "plain")) == 126
    assert run(str(tmp_path)) == 126
    assert "Permission denied" in capsys.readouterr().err


def test_cgroup_that_is_gone_is_one(group: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="joining") as error:
        launch.launch(["true"], cgroup=tmp_path / "gone", account=None)
    assert error.value.code == 1


def test_no_agent_is_three_and_the_command_does_not_run(no_agent: Path, tmp_path: Path) -> None:
    assert run("touch", str(tmp_path / "ran")) == 3
    assert not (tmp_path / "ran").exists()


def test_wrong_label_and_unknown_user_are_wrong_use(group: Path) -> None:
    assert main(["run", "-l", "nope", "--", "true"]) == 2
    assert main(["run", "--user", "no-such-user", "--", "true"]) == 2


def test_options_of_the_command_are_its_own(group: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["run", "sh", "-c", f"echo --name $0 > {out}", "--json"]) == 0
    assert out.read_text() == "--name --json\n"


def test_input_and_output_are_the_caller_s(group: Path, agent: FakeAgent) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "undermesh", "run", "--name", "x", "--", "tr", "a-z", "A-Z"],
        input="hello",
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "HELLO", "")


REPORTER = """
import json, signal, sys, time
seen = []
for n in ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH"):
    signal.signal(getattr(signal, "SIG" + n), lambda s, f: seen.append(signal.Signals(s).name))
print("ready", flush=True)
while "SIGTERM" not in seen:
    time.sleep(0.01)
print(json.dumps(seen), flush=True)
sys.exit(9)
"""


def test_signals_are_passed_on_once_each(group: Path, agent: FakeAgent) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "undermesh",
            "run",
            "--name",
            "x",
            "--",
            sys.executable,
            "-c",
            REPORTER,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while process.stdout.readline().strip() != "ready":
        assert process.poll() is None
    sent = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"]
    for name in sent:
        process.send_signal(signal.Signals[name])
        time.sleep(0.05)  # signals that wait together are delivered in no set order
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert json.loads(said) == [*sent, "SIGTERM"]
    assert process.returncode == 9


def test_command_starts_with_default_signals(
    group: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status") == 0
    masks = dict(line.split(":\t") for line in capfd.readouterr().out.splitlines())
    assert int(masks["SigBlk"], 16) == 0
    assert int(masks["SigIgn"], 16) & (1 << (signal.SIGPIPE - 1)) == 0


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_ctrl_c_on_a_terminal_reaches_the_command_once(
    group: Path, agent: FakeAgent, tmp_path: Path
) -> None:
    """The terminal itself signals the whole foreground group; one more from us would be two."""
    counter = tmp_path / "count"
    trap = f"trap 'echo x >> {counter}' INT"
    script = f"{trap}; echo ready; while ! [ -e {tmp_path}/end ]; do sleep 0.05; done"
    pid, terminal = os.forkpty()
    if pid == 0:
        command = [
            sys.executable,
            "-m",
            "undermesh",
            "run",
            "--name",
            "x",
            "--",
            "sh",
            "-c",
            script,
        ]
        os.execv(sys.executable, command)
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    wait_for(counter.exists)
    time.sleep(0.2)  # room for a second copy to arrive
    (tmp_path / "end").touch()
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert counter.read_text() == "x\n"
    assert os.WEXITSTATUS(status) == 0
