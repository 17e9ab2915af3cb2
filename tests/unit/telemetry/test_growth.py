# SPDX-License-Identifier: Apache-2.0
import numpy as np

from undermesh.telemetry.growth import EDGES, SERIES, Meter, joined, positions
from undermesh.testing import abi, arrays


def entries(*rows):
    """(keys, values) of um_series: (client, requests, {bin: count})."""
    keys = arrays.structs("um_series_key", [{"client": client} for client, _, _ in rows])
    values = arrays.structs("um_series", [{"requests": count} for _, count, _ in rows])
    for position, (_, _, bins) in enumerate(rows):
        for bin_, count in bins.items():
            values["bins"][position, bin_] = count
    return keys, values


def grown(growth):
    return dict(zip(growth.keys["client"].tolist(), growth.sums[:, 0].tolist(), strict=True))


def test_the_first_reading_is_the_base():
    meter = Meter(layout=SERIES)
    assert len(meter.observe(*entries((300, 7, {5: 7})))) == 0
    assert meter.total().sums[0, 0] == 7


def test_growth_is_told_with_its_bins_and_nothing_else():
    meter = Meter(layout=SERIES)
    meter.observe(*entries((300, 7, {5: 7}), (301, 1, {9: 1})))
    growth = meter.observe(*entries((300, 10, {5: 8, 6: 2}), (301, 1, {9: 1})))
    assert grown(growth) == {300: 3}
    assert dict(zip(growth.bins.bin.tolist(), growth.bins.count.tolist(), strict=True)) == {
        5: 1,
        6: 2,
    }


def test_keys_may_come_go_and_change_places():
    meter = Meter(layout=SERIES)
    meter.observe(*entries((300, 7, {}), (301, 4, {})))
    growth = meter.observe(*entries((302, 2, {2: 2}), (301, 5, {3: 1})))
    assert grown(growth) == {302: 2, 301: 1}


def test_a_key_made_anew_counts_from_zero():
    meter = Meter(layout=SERIES)
    meter.observe(*entries((300, 7, {5: 7})))
    growth = meter.observe(*entries((300, 2, {5: 2})))
    assert grown(growth) == {300: 2}
    assert growth.bins.count.tolist() == [2]


def test_dropped_entries_are_not_in_the_total():
    meter = Meter(layout=SERIES)
    meter.observe(*entries((300, 7, {}), (301, 4, {})))
    meter.drop(np.array([0]))
    assert grown(meter.total()) == {301: 4}
    assert grown(meter.observe(*entries((301, 5, {})))) == {301: 1}


def test_an_empty_map_is_no_trouble():
    meter = Meter(layout=SERIES)
    nothing = entries()
    meter.observe(*nothing)
    assert grown(meter.observe(*entries((300, 1, {})))) == {300: 1}
    assert len(meter.observe(*nothing)) == 0


def test_every_counter_of_the_kernel_is_a_column():
    for layout, struct in ((EDGES, "um_edge"), (SERIES, "um_series")):
        counted = {column.name for column in layout.columns}
        told_otherwise = {"last_ns", "connect_max_ns", "slow_ns", "bins"}
        assert set(abi.dtype(struct).names) - counted <= told_otherwise


def test_positions_find_keys_in_any_order():
    keys, _ = entries((5, 0, {}), (9, 0, {}), (7, 0, {}))
    among, _ = entries((7, 0, {}), (5, 0, {}))
    assert positions(keys, among).tolist() == [1, -1, 0]
    assert positions(keys, keys).tolist() == [0, 1, 2]
    assert positions(keys[:0], among).tolist() == []
    assert positions(keys, among[:0]).tolist() == [-1, -1, -1]


def test_joined_growths_keep_their_cells_apart():
    one = arrays.series({"client": 300, "requests": 1, "bins": {4: 1}})
    other = arrays.series({"client": 301, "requests": 2, "bins": {4: 2}})
    both = joined([one, other])
    assert both.keys["client"].tolist() == [300, 301]
    assert both.bins.row.tolist() == [0, 1]
