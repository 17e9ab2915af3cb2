# SPDX-License-Identifier: Apache-2.0
"""Kernel structs as small arrays, field by field."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undermesh.telemetry.growth import EDGES, SERIES, Growth, total
from undermesh.telemetry.vocabulary import Vocabulary
from undermesh.testing import abi

Row = Mapping[str, Any]


def structs(name: str, rows: Iterable[Row]) -> NDArray[np.void]:
    """Structs with the fields given, the rest zero."""
    listed = list(rows)
    array = np.zeros(len(listed), abi.dtype(name))
    for position, row in enumerate(listed):
        for field, value in row.items():
            array[field][position] = value
    return array


def address(text: str) -> NDArray[np.uint8]:
    """An address as the kernel keeps it: 16 bytes, IPv4 mapped."""
    from ipaddress import ip_address

    parsed = ip_address(text)
    packed = parsed.packed if parsed.version == 6 else bytes(10) + b"\xff\xff" + parsed.packed
    return np.frombuffer(packed, np.uint8)


def edges(*rows: Row) -> Growth:
    """Connection counters: fields of um_edge_key and um_edge in one mapping a row."""
    keys = abi.dtype("um_edge_key").names or ()
    return total(EDGES, *_split("um_edge_key", "um_edge", keys, rows))


def series(*rows: Row) -> Growth:
    """Request counters; `bins` is a mapping of bin to count."""
    keys = abi.dtype("um_series_key").names or ()
    plain = [{name: value for name, value in row.items() if name != "bins"} for row in rows]
    keyed, values = _split("um_series_key", "um_series", keys, plain)
    for position, row in enumerate(rows):
        for bin_, count in row.get("bins", {}).items():
            values["bins"][position, bin_] = count
    return total(SERIES, keyed, values)


def vocabulary() -> Vocabulary:
    """The enumerations of the built objects."""
    return Vocabulary.read(abi.enum)


def _split(
    key: str, value: str, names: tuple[str, ...], rows: Iterable[Row]
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    listed = list(rows)
    keys = structs(key, [{n: v for n, v in row.items() if n in names} for row in listed])
    values = structs(value, [{n: v for n, v in row.items() if n not in names} for row in listed])
    return keys, values
