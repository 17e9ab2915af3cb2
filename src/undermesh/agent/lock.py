# SPDX-License-Identifier: Apache-2.0
"""One agent an instance: the pid file is locked for as long as the agent lives.

The lock (flock(2)) goes with the process, however it ends; the file may stay and means nothing.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Self


class AlreadyRunning(Exception):
    """Another agent has the instance. `pid` is 0 where its file does not say."""

    def __init__(self, instance: str, pid: int) -> None:
        who = f"pid {pid}" if pid else "its pid is not known"
        super().__init__(
            f"an agent already runs as instance {instance!r} ({who}); look at it with `undermesh "
            "status`, stop it with `undermesh down`, or start this one with --instance NAME"
        )
        self.instance = instance
        self.pid = pid


class PidLock:
    """A held lock; a context manager."""

    def __init__(self, path: Path, instance: str) -> None:
        """Takes the lock. Raises AlreadyRunning, OSError."""
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise AlreadyRunning(instance, holder(path)) from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Lets go. The file is emptied and left: removing it would race with whoever opens it."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def holder(path: Path) -> int:
    """The pid in the file, 0 when there is none."""
    try:
        return int(path.read_text(encoding="ascii").strip() or "0")
    except (OSError, ValueError):
        return 0


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def wait_released(path: Path, *, seconds: float) -> bool:
    """Waits until nobody holds the lock; False when it took too long."""
    until = time.monotonic() + seconds
    while is_held(path):
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)
    return True
