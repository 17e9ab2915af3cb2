# SPDX-License-Identifier: Apache-2.0
"""One line on the terminal while something takes longer than a second."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

_PATIENCE_SECONDS = 1.0
_EVERY_SECONDS = 0.2
_CLEAR = "\r\x1b[2K"


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Shows `what` and for how long, on stderr where that is a terminal; gone when it is done."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    showing = threading.Thread(target=_show, args=(what, done), daemon=True)
    showing.start()
    try:
        yield
    finally:
        done.set()
        showing.join()


def _show(what: str, done: threading.Event) -> None:
    begun = time.monotonic()
    if done.wait(_PATIENCE_SECONDS):
        return
    while True:
        sys.stderr.write(f"{_CLEAR}{what} … {time.monotonic() - begun:.0f} s")
        sys.stderr.flush()
        if done.wait(_EVERY_SECONDS):
            break
    sys.stderr.write(_CLEAR)
    sys.stderr.flush()
