# SPDX-License-Identifier: Apache-2.0
"""One version's structs as another's."""

import numpy as np

from undermesh.kernel.convert import convert, from_bytes

OLD = np.dtype([("hits", "<u8"), ("slots", "<u4", (3,)), ("inner", [("a", "<u2")]), ("exe", "S8")])
NEW = np.dtype(
    [
        ("hits", "<u8"),
        ("slots", "<u4", (5,)),
        ("inner", [("a", "<u2"), ("b", "<u2")]),
        ("exe", "S8"),
        ("extra", "<u8"),
    ]
)


def some(dtype: np.dtype, shape=4) -> np.ndarray:
    array = np.zeros(shape, dtype)
    array["hits"] = np.arange(array.size).reshape(array.shape)
    array["slots"] = 7
    array["inner"]["a"] = 3
    array["exe"] = b"nginx"
    return array


def test_an_equal_layout_is_the_same_array():
    array = some(OLD)
    assert convert(array, OLD) is array


def test_appended_fields_are_zero_and_the_others_kept():
    new = convert(some(OLD), NEW)
    assert list(new["hits"]) == [0, 1, 2, 3]
    assert new["slots"][0].tolist() == [7, 7, 7, 0, 0]
    assert new["inner"][0].tolist() == (3, 0)
    assert (new["exe"] == b"nginx").all()
    assert (new["extra"] == 0).all()


def test_going_back_leaves_out_what_the_older_does_not_have():
    old = convert(some(NEW), OLD)
    assert old.dtype == OLD
    assert old["slots"][0].tolist() == [7, 7, 7]
    assert list(old["hits"]) == [0, 1, 2, 3]


def test_per_cpu_values_keep_their_shape():
    new = convert(some(OLD, (2, 3)), NEW)
    assert new.shape == (2, 3)
    assert new["hits"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_plain_numbers_are_cast():
    assert convert(np.arange(3, dtype="<u4"), np.dtype("<u8")).tolist() == [0, 1, 2]


def test_records_of_another_length_share_their_beginning():
    target = np.dtype([("a", "<u4"), ("b", "<u4")])
    short, exact, long = b"\1\0\0\0", b"\2\0\0\0\3\0\0\0", b"\4\0\0\0\5\0\0\0\6\0\0\0"
    records = from_bytes([short, exact, long], target)
    assert records.tolist() == [(1, 0), (2, 3), (4, 5)]
    assert len(from_bytes([], target)) == 0
