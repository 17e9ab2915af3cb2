# SPDX-License-Identifier: Apache-2.0
"""Arrays of one version's structs as another version's, older or newer.

Fields are only ever appended and keep their meaning, so a field is copied by its name; what only
one side has is left out, or zero. Pure.
"""

from collections.abc import Sequence

import numpy as np


def convert(source: np.ndarray, target: np.dtype) -> np.ndarray:
    """`source` with the dtype `target`, field by field, nested structs and sub-arrays included."""
    if source.dtype == target:
        return source
    result = np.zeros(source.shape, target)
    _copy(source, result)
    return result


def from_bytes(records: Sequence[bytes], target: np.dtype) -> np.ndarray:
    """Records of another length: what both versions have is a common beginning."""
    size = target.itemsize
    return np.frombuffer(b"".join(r[:size].ljust(size, b"\0") for r in records), target)


def _copy(source: np.ndarray, result: np.ndarray) -> None:
    if source.dtype.names is None or result.dtype.names is None:
        if source.dtype.names is result.dtype.names is None:
            both = tuple(slice(min(a, b)) for a, b in zip(source.shape, result.shape, strict=True))
            result[both] = source[both]
        return
    for name in result.dtype.names:
        if name in source.dtype.names:
            _copy(source[name], result[name])
