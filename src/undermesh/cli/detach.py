# SPDX-License-Identifier: Apache-2.0
"""An agent in the background: started, waited for until it answers, and told about."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from undermesh.cli import hints, output
from undermesh.cli.outcome import ANSWER_IS_NO, DONE, Refusal
from undermesh.cli.paint import paint_for
from undermesh.client import AgentUnreachable, ClientError, connect

if TYPE_CHECKING:
    from undermesh.config import Config

PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.05
_TAIL_LINES = 15


def refuse_second(socket: Path, instance: str) -> None:
    """One agent an instance: says who is there already."""
    try:
        with connect(socket=socket, timeout=2.0) as client:
            there = client.status()
    except ClientError:
        return
    raise Refusal(
        f"an agent already runs as instance {instance!r} (pid {there.pid}, version "
        f"{there.version})",
        hint="look at it with `undermesh status`, or end it with `undermesh down`",
    )


def start(settings: Config, arguments: Sequence[str]) -> int:
    """Starts `undermesh up ARGUMENTS` in a session of its own; its log goes to a file."""
    log = settings.agent.detach_log
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        begin = stream.tell()
        child = subprocess.Popen(
            [sys.executable, "-m", "undermesh", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd="/",
            start_new_session=True,
        )
    try:
        pid = _wait(child, settings.socket)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if pid is None:
        _fail(child, log, begin)
        return ANSWER_IS_NO
    output.print_lines(_welcome(pid, settings, log))
    child.returncode = 0  # it goes on without us: no warning that it was not waited for
    return DONE


def _wait(child: subprocess.Popen[bytes], socket: Path) -> int | None:
    """The agent's pid once it answers; None when it ended or took too long."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if child.poll() is not None:
            return None
        try:
            with connect(socket=socket, timeout=5.0) as client:
                return client.status().pid
        except AgentUnreachable:
            time.sleep(_POLL_SECONDS)
    child.terminate()
    child.wait()
    return None


def _fail(child: subprocess.Popen[bytes], log: Path, begin: int) -> None:
    """What the agent said last is why it did not start."""
    with log.open("rb") as stream:
        stream.seek(begin)
        said = stream.read().decode("utf-8", "replace").splitlines()
    for line in said[-_TAIL_LINES:]:
        print(f"  {line}", file=sys.stderr)
    how = f"ended with {child.returncode}" if (child.returncode or 0) >= 0 else "was killed"
    raise Refusal(
        f"the agent did not come up: it {how}",
        hint=f"its log is {log}; `undermesh doctor` says what this host lacks",
    )


def _welcome(pid: int, settings: Config, log: Path) -> list[str]:
    instance = settings.agent.instance
    flag = "" if instance == "default" else f" --instance {instance}"
    return [
        f"undermesh is up: pid {pid}, socket {settings.socket}",
        f"log: {log}",
        "",
        "Try next:",
        *hints.commands(
            (
                (f"top{flag}", "who talks to whom, live"),
                (f"map{flag}", "the same as a picture"),
                (f"flows --follow{flag}", "connections as they come and go"),
                (f"down{flag}", "take everything away again"),
            ),
            paint_for(),
        ),
    ]
