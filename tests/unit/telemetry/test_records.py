# SPDX-License-Identifier: Apache-2.0
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from undermesh.telemetry.records import Records

DTYPE = np.dtype([("n", "<i8")])


def batch(numbers):
    return np.array([(number,) for number in numbers], DTYPE)


@given(st.lists(st.integers(0, 12), max_size=20), st.integers(1, 10), st.integers(1, 7))
def test_the_newest_are_kept_in_order(sizes, limit, step):
    records = Records(dtype=DTYPE, limit=limit)
    given_: list[int] = []
    for size in sizes:
        fresh = list(range(len(given_), len(given_) + size))
        given_ += fresh
        records.add(batch(fresh))
    found = [part["n"].tolist() for part in records.backwards(step)]
    assert [number for part in reversed(found) for number in part] == given_[-limit:]
    assert len(records) == len(given_[-limit:])
    assert records.taken == len(given_)
