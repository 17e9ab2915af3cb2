# SPDX-License-Identifier: Apache-2.0
"""Figures as a person reads them: 12.3k/s, 4.1 ms, 1.2 MiB. Three significant digits at most."""

from __future__ import annotations

from datetime import UTC, datetime

NONE = "–"
"""What stands where there is no figure (a percentile of no requests)."""


def count(value: int) -> str:
    """1234567 → 1.23M; small counts are exact."""
    if value < 10_000:
        return str(value)
    return _scaled(value, 1000.0, ("", "k", "M", "G", "T"))


def rate(per_second: float) -> str:
    """12345.6 → 12.3k/s."""
    if per_second <= 0:
        return "0/s"
    if per_second < 0.05:
        return "<0.1/s"
    if per_second < 100:
        return f"{_short(per_second)}/s"
    return f"{_scaled(per_second, 1000.0, ('', 'k', 'M', 'G'))}/s"


def milliseconds(value: float | None) -> str:
    """4.123 → 4.12 ms; microseconds below 1 ms, seconds from 1000 ms."""
    if value is None:
        return NONE
    if value < 0.9995:
        return f"{_short(value * 1000)} µs"
    if value < 999.5:
        return f"{_short(value)} ms"
    return span(value / 1000)


def microseconds(value: float | None) -> str:
    return NONE if value is None else milliseconds(value / 1000)


def span(seconds: float) -> str:
    """A stretch of time: 1.23 s, 4m05s, 3h12m, 2d04h."""
    if seconds < 0.9995:
        return milliseconds(seconds * 1000)
    if seconds < 60:
        return f"{_short(seconds)} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02d}h"


def size(octets: int) -> str:
    """1258291 → 1.2 MiB."""
    if octets < 1024:
        return f"{octets} B"
    return _scaled(octets, 1024.0, ("B", "KiB", "MiB", "GiB", "TiB"), gap=" ")


def share(part: int, whole: int) -> str:
    """Percent of `whole`; something above nothing never reads as 0 %."""
    if whole <= 0:
        return NONE
    if part <= 0:
        return "0%"
    percent = 100 * part / whole
    return "<0.1%" if percent < 0.05 else f"{_short(percent)}%"


def clock(moment: str) -> str:
    """Local time of day of an ISO 8601 time, to the millisecond; unreadable ones as they are."""
    parsed = parse_time(moment)
    if parsed is None:
        return moment or NONE
    return parsed.astimezone().strftime("%H:%M:%S.%f")[:-3]


def age(moment: str | None) -> str:
    """How long ago an ISO 8601 time was."""
    parsed = parse_time(moment or "")
    if parsed is None:
        return NONE
    return span(max(0.0, (datetime.now(UTC) - parsed).total_seconds()))


def parse_time(moment: str) -> datetime | None:
    """ISO 8601 with or without zone (then UTC); None for what is none."""
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def _scaled(value: float, step: float, suffixes: tuple[str, ...], *, gap: str = "") -> str:
    index = 0
    while value >= step * 0.9995 and index < len(suffixes) - 1:
        value /= step
        index += 1
    return f"{_short(value)}{gap}{suffixes[index]}"


def _short(value: float) -> str:
    """At most three digits, no trailing zeros after a point."""
    if value >= 99.95:
        return f"{value:.0f}"
    digits = 1 if value >= 9.995 else 2
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return text or "0"
