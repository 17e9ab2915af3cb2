# SPDX-License-Identifier: Apache-2.0
from undermesh.telemetry.window import Slice, Window
from undermesh.testing import arrays

SECOND = 1_000_000_000


def slice_(second, opened):
    return Slice(
        start_ns=(second - 1) * SECOND,
        end_ns=second * SECOND,
        series=arrays.series(),
        edges=arrays.edges({"client": 300, "opened": opened}),
    )


def opened(stretch):
    return stretch.edges.sums[:, 0].tolist()


def test_the_last_seconds_and_no_more():
    window = Window(length_ns=60 * SECOND)
    for second in range(1, 31):
        window.add(slice_(second, second))
    stretch = window.last(10 * SECOND, now_ns=30 * SECOND)
    assert opened(stretch) == list(range(21, 31))
    assert stretch.start_ns == 20 * SECOND
    assert stretch.end_ns == 30 * SECOND


def test_one_second_is_one_slice():
    window = Window(length_ns=60 * SECOND)
    for second in range(1, 4):
        window.add(slice_(second, second))
    assert opened(window.last(SECOND, now_ns=3 * SECOND)) == [3]


def test_a_young_agent_says_how_far_back_it_can_see():
    window = Window(length_ns=60 * SECOND)
    window.add(slice_(5, 1))
    assert window.last(10 * SECOND, now_ns=5 * SECOND).start_ns == 4 * SECOND


def test_before_the_first_slice_there_is_nothing():
    stretch = Window(length_ns=60 * SECOND).last(10 * SECOND, now_ns=7)
    assert (stretch.start_ns, stretch.end_ns, stretch.series, stretch.edges) == (7, 7, None, None)


def test_what_is_too_old_is_forgotten():
    window = Window(length_ns=5 * SECOND)
    for second in range(1, 100):
        window.add(slice_(second, 1))
    assert len(window) <= 6


def test_what_is_too_much_is_forgotten_oldest_first():
    window = Window(length_ns=1000 * SECOND, cells=5 * slice_(1, 1).cells)
    for second in range(1, 100):
        window.add(slice_(second, second))
    assert opened(window.last(1000 * SECOND, now_ns=0)) == [95, 96, 97, 98, 99]
