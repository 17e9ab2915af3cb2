# SPDX-License-Identifier: Apache-2.0
"""Rise and fall."""

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.health.endpoints import check
from undermesh.health.answer import Failed, NotTried, Passed
from undermesh.health.thresholds import Record, after

ANSWERS = {"p": Passed("well"), "f": Failed("ill"), "-": NotTried("no files")}


def told(text, *, rise=2, fall=3, presumed=False):
    """The record after these answers, and health after each."""
    record, course = Record(presumed=presumed), []
    for now, letter in enumerate(text, 1):
        record = after(
            record,
            check(healthy_after=rise, unhealthy_after=fall),
            ANSWERS[letter],
            now_ns=now,
            latency_ns=5,
        )
        course.append({True: "u", False: "d", None: "?"}[record.healthy])
    return record, "".join(course)


def test_the_first_answer_decides() -> None:
    assert told("p")[1] == "u"
    assert told("f")[1] == "d"


def test_it_takes_as_many_in_a_row_as_said() -> None:
    assert told("pffpfff")[1] == "uuuuuud"
    assert told("fpfpp")[1] == "ddddu"


def test_who_was_in_use_has_failures_to_go() -> None:
    assert told("fff", presumed=True)[1] == "uud"
    assert told("p", presumed=True)[1] == "u"


def test_what_could_not_be_tried_counts_for_nothing() -> None:
    record, course = told("-pf-f-f")
    assert course == "?uuuuud"
    assert told("p-")[0] == told("p")[0]
    assert record.reason == "ill"


def test_the_reason_counts_down_and_the_time_is_that_of_the_turn() -> None:
    record, _ = told("pff")
    assert (record.reason, record.since_ns) == ("2 of 3 checks in a row failed: ill", 1)
    record, _ = told("pfffp")
    assert (record.reason, record.since_ns) == ("1 of 2 checks in a row passed: well", 4)
    assert told("pffp")[0].reason == "well"


@given(st.text("pf", min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_it_turns_exactly_when_enough_in_a_row_speak_against_it(text, rise, fall) -> None:
    _, course = told(text, rise=rise, fall=fall)
    for at in range(1, len(text)):
        turned = course[at] != course[at - 1]
        needed, letter = (rise, "p") if course[at - 1] == "d" else (fall, "f")
        enough = text[: at + 1].endswith(letter * needed)
        assert turned == enough
