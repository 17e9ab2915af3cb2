# SPDX-License-Identifier: Apache-2.0
"""The kernel's clock as wall-clock time."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How far the epoch lies before the zero of CLOCK_MONOTONIC, in ns, as last compared."""

    offset_ns: int

    def iso(self, monotonic_ns: int) -> str:
        """ISO 8601, UTC, milliseconds."""
        return iso(monotonic_ns + self.offset_ns)


def iso(epoch_ns: int) -> str:
    """Nanoseconds since the epoch as ISO 8601, UTC, milliseconds: 2026-11-22T12:00:00.000Z."""
    seconds, nanoseconds = divmod(epoch_ns, 1_000_000_000)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1_000_000:03d}Z"


def milliseconds(ns: float | None) -> float | None:
    """Nanoseconds as milliseconds with the microsecond as last digit; None stays None."""
    return None if ns is None else round(ns / 1e6, 3)
