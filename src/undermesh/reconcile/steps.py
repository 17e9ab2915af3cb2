# SPDX-License-Identifier: Apache-2.0
"""What there is to do, in bulk. A step is numbers and arrays only, one write of the kernel's edge.

Columns are named as the fields of bpf/abi/service.h; what is not named there is zero. Steps are to
be done in the order given. Stopping between any two, or in the midst of one between two of its
rows, leaves every service whole: as it was or as it is to be.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from undermesh.compile.desired import KEY_FIELDS

SERVICE = np.dtype(
    [
        *KEY_FIELDS,
        ("id", np.uint32),
        ("flags", np.uint32),
        ("slots_at", np.uint32),
        ("slots", np.uint32),
        ("affinity_s", np.uint32),
        ("balancing", np.uint8),
    ]
)
"""um_service_key and um_service in one row."""

BACKEND_ROW = np.dtype(
    [
        ("address", np.uint8, 16),
        ("netns", np.uint64),
        ("port", np.uint16),
        ("service", np.uint32),
        ("flags", np.uint8),
    ]
)
"""um_backend."""


@dataclass(frozen=True, slots=True, eq=False)
class PutBackends:
    """Writes um_backends[numbers[i]] = rows[i] (BACKEND_ROW): new ones, and ones usable again."""

    numbers: NDArray[np.uint32]
    rows: NDArray[np.void]


@dataclass(frozen=True, slots=True, eq=False)
class PutSlots:
    """Writes um_slots[at[i]] = rows[i] (compile.desired.SLOT, `backend` and `other` are numbers).

    Nobody refers to these yet. `at` ascends, mostly in runs.
    """

    at: NDArray[np.uint32]
    rows: NDArray[np.void]


@dataclass(frozen=True, slots=True, eq=False)
class PutServices:
    """Writes entries of um_services, each replaced whole (SERVICE). This is the switch."""

    rows: NDArray[np.void]


@dataclass(frozen=True, slots=True, eq=False)
class DeleteServices:
    """Removes entries of um_services (compile.desired.KEY)."""

    keys: NDArray[np.void]


@dataclass(frozen=True, slots=True, eq=False)
class RetireBackends:
    """Writes rows whose USABLE is cleared: no new connections, affinity lets go of them."""

    numbers: NDArray[np.uint32]
    rows: NDArray[np.void]


@dataclass(frozen=True, slots=True, eq=False)
class CutBackends:
    """Resets the open sockets of these backends: those of UDP only, or all of them."""

    numbers: NDArray[np.uint32]
    udp_only: bool


@dataclass(frozen=True, slots=True, eq=False)
class ForgetBackends:
    """Zeroes um_loads[n], then um_backends[n]: the numbers may be given to others from now on."""

    numbers: NDArray[np.uint32]


Step: TypeAlias = (
    PutBackends
    | PutSlots
    | PutServices
    | DeleteServices
    | RetireBackends
    | CutBackends
    | ForgetBackends
)
"""In this order within a plan."""
