# SPDX-License-Identifier: Apache-2.0
"""Figures read as a person would write them."""

from __future__ import annotations

import pytest

from undermesh.cli import units
from undermesh.cli.options import duration


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (9999, "9999"), (12345, "12.3k"), (999_999, "1M"), (1_234_567, "1.23M")],
)
def test_count(value: int, text: str) -> None:
    assert units.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0/s"),
        (0.01, "<0.1/s"),
        (0.4, "0.4/s"),
        (99.9, "99.9/s"),
        (412.3, "412/s"),
        (12_345.6, "12.3k/s"),
    ],
)
def test_rate(value: float, text: str) -> None:
    assert units.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0421, "42.1 µs"),
        (0.99999, "1 ms"),
        (4.123, "4.12 ms"),
        (38.26, "38.3 ms"),
        (999.9, "1 s"),
        (1250.0, "1.25 s"),
        (61_000.0, "1m01s"),
    ],
)
def test_milliseconds(value: float | None, text: str) -> None:
    assert units.milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1258291, "1.2 MiB"), (1 << 30, "1 GiB"), (1048575, "1 MiB")],
)
def test_size(value: int, text: str) -> None:
    assert units.size(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, "–"), (0, 9, "0%"), (1, 9000, "<0.1%"), (1, 20, "5%"), (1, 1, "100%")],
)
def test_share(part: int, whole: int, text: str) -> None:
    assert units.share(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "500 ms"), (59.0, "59 s"), (245.0, "4m05s"), (11_520.0, "3h12m"), (187_200.0, "2d04h")],
)
def test_span(seconds: float, text: str) -> None:
    assert units.span(seconds) == text


def test_times_without_meaning_are_shown_as_they_are() -> None:
    assert units.clock("yesterday") == "yesterday"
    assert units.clock("") == "–"
    assert units.age(None) == "–"


@pytest.mark.parametrize(
    ("text", "seconds"), [("10", 10), ("10s", 10), ("500ms", 0.5), ("5m", 300), ("1.5h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds
