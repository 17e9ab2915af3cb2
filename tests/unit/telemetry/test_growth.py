# SPDX-License-Identifier: Apache-2.0
from undermesh.telemetry.growth import EDGES, SERIES, joined, positions
from undermesh.testing import abi, arrays


def keys(*clients):
    return arrays.structs("um_series_key", [{"client": client} for client in clients])


def test_every_counter_of_the_kernel_is_a_column():
    for layout, struct in ((EDGES, "um_edge"), (SERIES, "um_series")):
        counted = {column.name for column in layout.columns}
        told_otherwise = {"last_ns", "connect_max_ns", "slow_ns", "bins"}
        assert set(abi.dtype(struct).names) - counted <= told_otherwise


def test_a_matrix_has_each_counter_under_its_column():
    values = arrays.structs("um_edge", [{"opened": 3, "failures": range(8), "rtts": 9}])
    row = EDGES.matrix(values)[0].tolist()
    at = EDGES.at("failures")
    assert row[EDGES.at("opened")] == 3
    assert row[at : at + 8] == list(range(8))
    assert row[EDGES.at("rtts")] == 9


def test_positions_find_keys_in_any_order():
    assert positions(keys(5, 9, 7), keys(7, 5)).tolist() == [1, -1, 0]
    assert positions(keys(5, 9), keys(5, 9)).tolist() == [0, 1]
    assert positions(keys(), keys(7, 5)).tolist() == []
    assert positions(keys(5), keys()).tolist() == [-1]


def test_joined_growths_keep_their_cells_apart():
    one = arrays.series({"client": 300, "requests": 1, "bins": {4: 1}})
    other = arrays.series({"client": 301, "requests": 2, "bins": {4: 2}})
    both = joined([one, other])
    assert both.keys["client"].tolist() == [300, 301]
    assert both.bins.row.tolist() == [0, 1]
