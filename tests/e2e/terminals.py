# SPDX-License-Identifier: Apache-2.0
"""A terminal with somebody in front of it."""

import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from typing import Self

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
"""The alternate screen (xterm's control sequences)."""
SHOW_CURSOR = "\x1b[?25h"


class Terminal:
    """A command in a pseudo-terminal of 120 by 30 characters; a context manager."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._leader, self._follower = pty.openpty()
        ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("4H", 30, 120, 0, 0))
        self.before = termios.tcgetattr(self._follower)
        self.said = ""
        self._child = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *argv],
            env={**env, "TERM": "xterm-256color"},
            stdin=self._follower,
            stdout=self._follower,
            stderr=self._follower,
        )

    def wait_for(self, text: str, *, times: int = 1, seconds: float = 20.0) -> None:
        """Until the command has written `text` so often."""
        end = time.monotonic() + seconds
        while self.said.count(text) < times:
            left = end - time.monotonic()
            assert left > 0, f"waited in vain for {text!r}; it said {self.said!r}"
            self._read(left)

    def press(self, keys: str) -> None:
        """As typed: \\x03 is Ctrl-C."""
        os.write(self._leader, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        self._child.send_signal(signal.SIGWINCH)

    def end(self, seconds: float = 20.0) -> int:
        """Waits for the command's end; answers its exit code."""
        end = time.monotonic() + seconds
        while self._child.poll() is None:
            assert time.monotonic() < end, f"it does not end; it said {self.said!r}"
            self._read(0.05)
        self._read(0.05)
        return self._child.returncode

    @property
    def restored(self) -> bool:
        """Whether the terminal is as the command found it."""
        return termios.tcgetattr(self._follower) == self.before

    def _read(self, seconds: float) -> None:
        ready, _, _ = select.select([self._leader], [], [], seconds)
        if ready:
            self.said += os.read(self._leader, 65536).decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()
        os.close(self._leader)
        os.close(self._follower)
