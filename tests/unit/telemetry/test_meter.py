# SPDX-License-Identifier: Apache-2.0
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from undermesh.telemetry.growth import SERIES
from undermesh.telemetry.meter import Meter
from undermesh.testing import abi, arrays

NONE = (np.zeros(0, abi.dtype("um_series_key")), np.zeros(0, abi.dtype("um_series")))


def entries(*rows):
    """(keys, values) of um_series: (client, requests, {bin: count})."""
    keys = arrays.structs("um_series_key", [{"client": client} for client, _, _ in rows])
    values = arrays.structs("um_series", [{"requests": count} for _, count, _ in rows])
    for position, (_, _, bins) in enumerate(rows):
        for bin_, count in bins.items():
            values["bins"][position, bin_] = count
    return keys, values


def observe(meter, *rows, size=2):
    keys, values = entries(*rows)
    chunks = [(keys[i : i + size], values[i : i + size]) for i in range(0, len(keys), size)]
    return meter.observe(chunks, NONE)


def counted(growth):
    """{client: (requests, {bin: count})}."""
    found: dict[int, tuple[int, dict[int, int]]] = {
        client: (requests, {})
        for client, requests in zip(
            growth.keys["client"].tolist(), growth.sums[:, 0].tolist(), strict=True
        )
    }
    clients = growth.keys["client"].tolist()
    for row, bin_, count in zip(
        growth.bins.row.tolist(), growth.bins.bin.tolist(), growth.bins.count.tolist(), strict=True
    ):
        bins = found[clients[row]][1]
        bins[bin_] = bins.get(bin_, 0) + count
    return found


def test_the_first_reading_is_the_base():
    meter = Meter(layout=SERIES)
    assert counted(observe(meter, (300, 7, {5: 7}))) == {}
    assert counted(meter.reading.growth()) == {300: (7, {5: 7})}


def test_growth_is_told_with_its_bins_and_nothing_else():
    meter = Meter(layout=SERIES)
    observe(meter, (300, 7, {5: 7}), (301, 1, {9: 1}))
    growth = observe(meter, (300, 10, {5: 8, 6: 2}), (301, 1, {9: 1}))
    assert counted(growth) == {300: (3, {5: 1, 6: 2})}
    assert counted(meter.reading.growth()) == {300: (10, {5: 8, 6: 2}), 301: (1, {9: 1})}


def test_keys_may_come_go_and_change_places():
    meter = Meter(layout=SERIES)
    observe(meter, (300, 7, {}), (301, 4, {3: 4}))
    assert counted(observe(meter, (302, 2, {2: 2}), (301, 5, {3: 5}))) == {
        302: (2, {2: 2}),
        301: (1, {3: 1}),
    }


def test_a_key_made_anew_counts_from_zero():
    meter = Meter(layout=SERIES)
    observe(meter, (300, 7, {5: 7}))
    assert counted(observe(meter, (300, 2, {5: 2}))) == {300: (2, {5: 2})}
    assert counted(meter.reading.growth()) == {300: (2, {5: 2})}


def test_dropped_entries_are_not_in_the_total():
    meter = Meter(layout=SERIES)
    observe(meter, (300, 7, {1: 7}), (301, 4, {2: 4}))
    meter.drop(np.array([0]))
    assert counted(meter.reading.growth()) == {301: (4, {2: 4})}
    assert counted(observe(meter, (301, 5, {2: 5}))) == {301: (1, {2: 1})}


def test_an_empty_map_is_no_trouble():
    meter = Meter(layout=SERIES)
    observe(meter)
    assert counted(observe(meter, (300, 1, {}))) == {300: (1, {})}
    assert counted(observe(meter)) == {}
    assert len(meter) == 0


def test_a_bin_read_torn_shows_in_the_next_reading():
    meter = Meter(layout=SERIES)
    observe(meter, (300, 1, {4: 1}))
    observe(meter, (300, 2, {4: 1}))
    assert counted(observe(meter, (300, 3, {4: 3}))) == {300: (1, {4: 2})}


clients = st.dictionaries(
    st.integers(256, 262),
    st.dictionaries(st.integers(0, 5), st.integers(0, 4), max_size=4),
    max_size=6,
)


@given(st.lists(clients, min_size=1, max_size=6), st.integers(1, 4))
def test_growth_adds_up_to_the_totals_whatever_comes_and_goes(steps, size):
    """Every step adds requests to some clients; all growth together is what was counted."""
    meter = Meter(layout=SERIES)
    observe(meter)
    held: dict[int, dict[int, int]] = {}
    grown: dict[int, dict[int, int]] = {}
    for step in steps:
        for client, bins in step.items():
            total = held.setdefault(client, {})
            for bin_, count in bins.items():
                total[bin_] = total.get(bin_, 0) + count
        rows = [(client, sum(bins.values()), bins) for client, bins in held.items()]
        for client, (requests, bins) in counted(observe(meter, *rows, size=size)).items():
            assert requests == sum(bins.values())
            total = grown.setdefault(client, {})
            for bin_, count in bins.items():
                total[bin_] = total.get(bin_, 0) + count
    plain = {c: {b: n for b, n in bins.items() if n} for c, bins in held.items()}
    assert {c: b for c, b in grown.items() if b} == {c: b for c, b in plain.items() if b}
    assert {c: b for c, (_, b) in counted(meter.reading.growth()).items()} == plain
