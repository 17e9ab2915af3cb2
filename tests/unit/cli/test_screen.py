# SPDX-License-Identifier: Apache-2.0
"""The live view on a real pseudo-terminal: keys work, and the terminal is left as it was found."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.unit.client.fake_agent import FakeAgent

LEAVE = b"\x1b[?1049l"


class Terminal:
    """`undermesh top` on a pseudo-terminal of a size."""

    def __init__(self, columns: int, lines: int) -> None:
        self.pid, self.fd = os.forkpty()
        if self.pid == 0:
            self._size(0, columns, lines)
            environ = {**os.environ, "TERM": "xterm", "COLUMNS": "", "LINES": ""}
            os.execve(sys.executable, [sys.executable, "-m", "undermesh", "top"], environ)
        self.said = b""

    def resize(self, columns: int, lines: int) -> None:
        self._size(self.fd, columns, lines)

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def wait_for(self, text: bytes) -> None:
        until = time.monotonic() + 20
        while text not in self.said:
            assert time.monotonic() < until, self.said[-2000:]
            self.read()

    def read(self) -> bool:
        if not select.select([self.fd], [], [], 0.1)[0]:
            return True
        try:
            self.said += os.read(self.fd, 65536)
        except OSError:  # the other end is closed
            return False
        return True

    def end(self) -> int:
        while self.read():
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                while select.select([self.fd], [], [], 0)[0] and self.read_rest():
                    pass
                return os.waitstatus_to_exitcode(status)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def read_rest(self) -> bool:
        try:
            rest = os.read(self.fd, 65536)
        except OSError:
            return False
        self.said += rest
        return bool(rest)

    @staticmethod
    def _size(fd: int, columns: int, lines: int) -> None:
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


@contextmanager
def top(columns: int = 120, lines: int = 24) -> Iterator[Terminal]:
    terminal = Terminal(columns, lines)
    try:
        terminal.wait_for(b"q quit")
        yield terminal
    finally:
        os.close(terminal.fd)


def test_q_quits_and_leaves_the_alternate_screen(agent: FakeAgent) -> None:
    with top() as terminal:
        terminal.type(b"q")
        assert terminal.end() == 0
        assert terminal.said.startswith(b"\x1b[?1049h")
        assert terminal.said.rstrip().endswith(LEAVE)


def test_ctrl_c_ends_with_130_and_a_clean_screen(agent: FakeAgent) -> None:
    with top() as terminal:
        terminal.type(b"\x03")
        assert terminal.end() == 130
        assert terminal.said.rstrip().endswith(LEAVE)
        assert b"Traceback" not in terminal.said


def test_sigterm_leaves_a_clean_screen(agent: FakeAgent) -> None:
    with top() as terminal:
        os.kill(terminal.pid, signal.SIGTERM)
        terminal.end()
        assert terminal.said.rstrip().endswith(LEAVE)


def test_s_sorts_by_the_next_column(agent: FakeAgent) -> None:
    with top() as terminal:
        terminal.type(b"s")
        terminal.wait_for(b"sort (requests)")
        terminal.type(b"t")
        terminal.wait_for(b"since the last `down`")
        terminal.type(b"q")
        assert terminal.end() == 0


@pytest.mark.parametrize("columns", [50, 80])
def test_resizing_draws_for_the_new_width(agent: FakeAgent, columns: int) -> None:
    with top(columns=140) as terminal:
        assert b"RETR" in terminal.said
        terminal.said = b""
        terminal.resize(columns, 24)
        terminal.wait_for(b"q quit")
        assert b"RETR" not in terminal.said
        terminal.type(b"q")
        assert terminal.end() == 0
