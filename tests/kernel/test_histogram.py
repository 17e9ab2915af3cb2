# SPDX-License-Identifier: Apache-2.0
"""um_bin against the definition of circllhist bins (OpenHistogram), on every edge of every bin."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from undermesh.kernel import testrun
from undermesh.kernel.loaded import Loaded

BINS = 90 * 8 + 2
PACE = settings(max_examples=1000, derandomize=True, database=None, deadline=None)


def bin_of(parts: Loaded, ns: int) -> int:
    data = bytes(14) + struct.pack("<Q", ns)
    return testrun.run_program(parts.programs["part_bin"], data=data).retval


def reference(ns: int) -> int:
    """Two significant decimal digits and an exponent; 1 µs to 100 s."""
    if ns < 1000:
        return 0
    digits = str(ns)
    decade = len(digits) - 4
    return 1 + 90 * decade + int(digits[:2]) - 10 if decade < 8 else BINS - 1


def edge(number: int) -> int:
    """The first nanosecond of a bin."""
    decade, digits = divmod(number - 1, 90)
    return (digits + 10) * 10 ** (decade + 2)


def test_every_edge_of_every_bin(parts: Loaded) -> None:
    for number in range(1, BINS - 1):
        begin, end = edge(number), edge(number + 1)
        assert bin_of(parts, begin) == number
        assert bin_of(parts, end - 1) == number
        assert bin_of(parts, begin - 1) == number - 1


def test_below_and_above(parts: Loaded) -> None:
    assert [bin_of(parts, ns) for ns in (0, 1, 999)] == [0, 0, 0]
    assert [bin_of(parts, ns) for ns in (10**11 - 1, 10**11, 2**63, 2**64 - 1)] == [
        BINS - 2,
        BINS - 1,
        BINS - 1,
        BINS - 1,
    ]


@given(ns=st.one_of(*(st.integers(0, 10**power) for power in range(3, 20))))
@PACE
def test_anything(parts: Loaded, ns: int) -> None:
    assert bin_of(parts, ns) == reference(ns)
