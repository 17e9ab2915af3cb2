# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition, with a bound: no test sleeps for luck."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T], *, what: str, seconds: float = 20.0, every: float = 0.05
) -> T:
    """The first true answer of `condition`; fails saying `what` did not come, and what was last."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}; last: {answer!r}")
        time.sleep(every)
