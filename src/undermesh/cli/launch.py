# SPDX-License-Identifier: Apache-2.0
"""Runs one command in a cgroup, as its stand-in: signals go through, the exit code comes back.

The command shares our process group, session and terminal, so that pipelines and job control work
as without us. A signal the terminal sent (si_code SI_KERNEL) has therefore reached the command
already and is not passed on a second time; one that a process sent to us is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from undermesh.cli.outcome import NOT_EXECUTABLE, NOT_FOUND, Refusal

RELAYED = frozenset(
    {
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
        signal.SIGTSTP,
        signal.SIGCONT,
    }
)
_JOB_CONTROL = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
_SI_KERNEL = 0x80  # sigaction(2): sent by the kernel, as a terminal's Ctrl-C is


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom the command runs as, when not as the caller."""

    name: str
    uid: int
    gid: int


def launch(command: Sequence[str], *, cgroup: Path, account: Account | None) -> int:
    """Runs `command` inside `cgroup` (it is there before its first instruction) and waits.

    Returns its exit code, 128 + n when signal n ended it. Raises `Refusal` with 127 when there is
    no such command, 126 when it may not be executed, 1 when the cgroup does not take it.
    """
    waited = RELAYED | {signal.SIGCHLD}
    before = frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, waited))
    try:
        pid = _start(command, cgroup, account, before)
        return _relay(pid, waited)
    finally:
        # What came between the command's end and here was meant for it.
        for number in RELAYED:
            while signal.sigtimedwait({number}, 0) is not None:
                pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(
    command: Sequence[str],
    cgroup: Path,
    account: Account | None,
    mask: Iterable[int],
) -> int:
    """Forks and executes; what the child could not do comes back through a pipe."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _become(command, cgroup, account, mask, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        report = pipe.read()
    if not report:
        return pid
    os.waitpid(pid, 0)
    stage, _, number = report.decode().partition(" ")
    raise _refusal(stage, int(number), command[0], cgroup, account)


def _become(
    command: Sequence[str],
    cgroup: Path,
    account: Account | None,
    mask: Iterable[int],
    writer: int,
) -> NoReturn:
    """In the child: into the cgroup, out of our signal settings, into the command."""
    stage = "cgroup"
    try:
        (cgroup / "cgroup.procs").write_text("0")
        if account is not None:
            stage = "user"
            os.initgroups(account.name, account.gid)
            os.setgid(account.gid)
            os.setuid(account.uid)
        stage = "exec"
        # The interpreter ignores these two; a command expects their default (signal(7)).
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvp(command[0], list(command))
    except OSError as error:
        os.write(writer, f"{stage} {error.errno or 0}".encode())
    finally:
        os._exit(NOT_FOUND)


def _refusal(
    stage: str, number: int, command: str, cgroup: Path, account: Account | None
) -> Refusal:
    answer = os.strerror(number)
    if stage == "cgroup":
        return Refusal(f"joining {cgroup}: {answer}", hint="is another agent tidying up there?")
    if stage == "user" and account is not None:
        return Refusal(f"becoming user {account.name}: {answer}", hint="run as root (sudo)")
    if number == errno.ENOENT:
        return Refusal(f"there is no command {command!r}", code=NOT_FOUND)
    return Refusal(f"{command!r} cannot be executed: {answer}", code=NOT_EXECUTABLE)


def _relay(pid: int, waited: frozenset[signal.Signals]) -> int:
    """Passes signals on until the command has ended."""
    while True:
        ended = _look(pid)
        if ended is not None:
            return ended
        arrived = signal.sigwaitinfo(waited)
        number = signal.Signals(arrived.si_signo)
        known_already = arrived.si_code == _SI_KERNEL or arrived.si_pid == pid
        if number in RELAYED and not known_already:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _look(pid: int) -> int | None:
    """The exit code when the command has ended. When its terminal stopped it, we stop with it, so
    that the shell sees a stopped job."""
    while True:
        found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if found == 0:
            return None
        if os.WIFSTOPPED(status):
            if os.WSTOPSIG(status) in _JOB_CONTROL and _has_terminal():
                os.kill(os.getpid(), signal.SIGSTOP)
            continue
        if os.WIFSIGNALED(status):
            return 128 + os.WTERMSIG(status)
        return os.WEXITSTATUS(status)


def _has_terminal() -> bool:
    return any(os.isatty(descriptor) for descriptor in (0, 1, 2))
