# SPDX-License-Identifier: Apache-2.0
"""A live view on the terminal's alternate screen: draw, wait for a key or the next second, redraw.

Plain ANSI and termios. The terminal is put back as it was on every way out, Ctrl-C, Ctrl-Z and
SIGTERM included.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from types import FrameType
from typing import Protocol

from undermesh.cli.output import write
from undermesh.cli.surroundings import surroundings

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # alternate screen, no cursor, no wrapping
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_KEYS = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[5~": "page-up",
    "\x1b[6~": "page-down",
}
_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)


class View(Protocol):
    """What is shown: asked anew for every frame."""

    interval: float
    """Seconds between frames."""

    def frame(self, *, width: int, height: int) -> list[str]:
        """At most `height` lines of at most `width` columns."""

    def press(self, key: str) -> None:
        """A key other than q: a character, or up, down, page-up, page-down."""


def show(view: View, *, seconds: float | None = None) -> None:
    """Shows `view` until q, or for `seconds`. Needs stdin and stdout to be a terminal."""
    end = None if seconds is None else time.monotonic() + seconds
    with _terminal() as resized:
        while True:
            started = time.monotonic()
            size = shutil.get_terminal_size()
            _draw(view.frame(width=size.columns, height=size.lines), size.lines)
            until = started + view.interval
            if end is not None and end <= started:
                return
            for key in _wait(until if end is None else min(until, end), resized):
                if key == "q":
                    return
                view.press(key)


def can_show() -> bool:
    """Whether there is a person at both ends."""
    return sys.stdin.isatty() and sys.stdout.isatty() and surroundings().term not in ("dumb", "")


def _draw(lines: list[str], height: int) -> None:
    """Each line is cleared before it is written: clearing after it would take the last column of a
    full line, where the cursor still stands."""
    shown = [f"{_CLEAR_LINE}{line}" for line in lines[:height]]
    if len(shown) < height:
        shown.append(_CLEAR_BELOW)
    write(_HOME + "\r\n".join(shown))


def _wait(until: float, resized: int) -> list[str]:
    """The keys pressed before `until`; none as well when the window changed its size."""
    ready, _, _ = select.select(
        [sys.stdin.fileno(), resized], [], [], max(0.0, until - time.monotonic())
    )
    if resized in ready:
        os.read(resized, 4096)
        return []
    if not ready:
        return []
    pressed = os.read(sys.stdin.fileno(), 256)
    if not pressed:
        return ["q"]  # the terminal is gone
    return [_KEYS.get(key, key) for key in _KEY.findall(pressed.decode("utf-8", "replace"))]


def _unhandled(number: signal.Signals) -> bool:
    """Whoever shows us may have a way of its own to end."""
    return signal.getsignal(number) is signal.SIG_DFL


@contextlib.contextmanager
def _terminal() -> Iterator[int]:
    """The alternate screen with unbuffered keys; yields a descriptor that is readable when the
    window changed its size."""
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def resize(signum: int, frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(writer, b"w")

    def back(signum: int, frame: FrameType | None) -> None:
        tty.setcbreak(stdin)
        write(_ENTER)
        resize(signum, frame)

    def suspend(signum: int, frame: FrameType | None) -> None:
        write(_LEAVE)
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
        os.kill(os.getpid(), signal.SIGSTOP)

    def stop(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    handlers = {
        signal.SIGWINCH: resize,
        signal.SIGCONT: back,
        signal.SIGTSTP: suspend,
        signal.SIGTERM: stop,
        signal.SIGHUP: stop,
    }
    ours = {n: h for n, h in handlers.items() if n not in _ENDING or _unhandled(n)}
    previous = {number: signal.signal(number, handler) for number, handler in ours.items()}
    try:
        tty.setcbreak(stdin)
        write(_ENTER)
        yield reader
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError, termios.error):
            write(_LEAVE)
            termios.tcsetattr(stdin, termios.TCSADRAIN, before)
        os.close(reader)
        os.close(writer)
