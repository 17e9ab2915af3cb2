# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from benchmarks import rows
from benchmarks.rows import Bar, Row


def row(**changes) -> Row:
    return Row(**{"name": "cost", "ours": 1.5, "unit": "µs", **changes})


@pytest.mark.parametrize(
    ("bound", "figure", "holds"),
    [("≤", 1.5, True), ("≤", 1.4, False), ("≥", 1.5, True), ("≥", 1.6, False), ("=", 1.5, True)],
)
def test_a_bar_holds_on_its_side_and_exactly(bound, figure, holds):
    assert row(bar=Bar(bound=bound, figure=figure)).holds is holds


def test_a_tolerance_is_around_the_peer():
    near = Bar(bound="±", figure=0.2)
    assert row(theirs=1.65, bar=near).holds
    assert row(theirs=1.35, bar=near).holds
    assert not row(theirs=1.8, bar=near).holds
    assert not row(bar=near).holds


def test_json_has_the_documented_fields_and_the_bar_where_there_is_one():
    barred = row(peer="tcpdump", theirs=3.0, bar=Bar(bound="≤", figure=2.0))
    found = json.loads(rows.document([barred, row()]))
    assert found[0] == {
        "name": "cost",
        "ours": 1.5,
        "unit": "µs",
        "peer": "tcpdump",
        "theirs": 3.0,
        "ratio": 0.5,
        "bar": 2.0,
        "holds": True,
    }
    assert set(found[1]) == {"name", "ours", "unit", "peer", "theirs", "ratio"}
    assert found[1]["ratio"] is None


def test_counts_stay_exact_in_json():
    assert row(ours=1_234_567_890).as_json()["ours"] == 1_234_567_890


def test_a_peer_that_measured_nothing_has_no_ratio():
    assert row(theirs=0.0).ratio is None


def test_the_table_fits_a_terminal_and_names_what_fails():
    long = row(
        name="kernel cost per local request, both ends",
        ours=2_500_000.0,
        bar=Bar(bound="≤", figure=2.0),
        how="over many requests " * 20,
    )
    text = rows.table([long, row()], notes=["a note " * 40])
    assert max(map(len, text.splitlines())) <= rows.WIDTH
    assert "FAILS" in text
    assert "1 of 1 bars do not hold: kernel cost per local request" in text


@pytest.mark.parametrize(
    ("figure", "text"),
    [(1234567, "1,234,567"), (0.98765, "0.988"), (12.345, "12.3"), (1234.5, "1,234"), (0, "0")],
)
def test_numbers_are_written_for_people(figure, text):
    assert rows.number(figure) == text
