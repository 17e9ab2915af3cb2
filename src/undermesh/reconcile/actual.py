# SPDX-License-Identifier: Apache-2.0
"""What the kernel holds, and what is remembered between two plans."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from undermesh.compile.desired import KEY, Shard
from undermesh.model.service import ServiceId
from undermesh.reconcile.steps import SERVICE, DeleteServices, PutServices, Step

KEY_SIZE = KEY.itemsize

Numbers = NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Actual:
    """The kernel's tables. Only columns are read, by name: any layout that has them will do.

    `services` is keys and values in one (steps.SERVICE). `slots` (um_slot), `backends` (um_backend)
    and `open` (um_load.open) are the arrays whole, indexed by number; they may be views of the
    kernel's own memory. They are as long as there is room.
    """

    services: NDArray[np.void]
    slots: NDArray[np.void]
    backends: NDArray[np.void]
    open: Numbers

    def after(self, steps: Iterable[Step]) -> "Actual":
        """With the services as the steps leave them; for who reads the arrays from the kernel's own
        memory, and does not want to read a hash map of 100,000 entries to learn what it wrote."""
        services = self.services
        for step in steps:
            match step:
                case PutServices(rows=rows):
                    services = _without(services, keys(rows))
                    services = np.concatenate([services, rows])
                case DeleteServices(keys=gone):
                    services = _without(services, keys(gone))
                case _:
                    pass
        return replace(self, services=services)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Memory:
    """What a plan leaves for the next. Without it (a new agent, steps that were not all done)
    everything is compared with the kernel: slower, and no less right.

    `planned` is what was asked for when last the kernel was made to agree. `gone` are backends that
    nobody lists any more, `draining` those that are listed as leaving, each until when its
    connections may stay, in the clock of `now`. `dead` ones had their UDP sockets cut, `cut` ones
    all. `resting` are spans of slots let go of in the plan before: a connect() that had begun may
    still read them.
    """

    planned: Mapping[ServiceId, Shard] = field(default_factory=dict)
    gone: Mapping[int, float] = field(default_factory=dict)
    draining: Mapping[int, float] = field(default_factory=dict)
    dead: frozenset[int] = frozenset()
    cut: frozenset[int] = frozenset()
    resting: NDArray[np.void] | None = None


NO_MEMORY = Memory()


def keys(rows: NDArray[np.void]) -> list[bytes]:
    """The key of each row, as bytes."""
    packed = np.empty(len(rows), KEY)
    for name in KEY.names or ():
        packed[name] = rows[name]
    return parts(packed, KEY_SIZE)


def parts(rows: NDArray[np.void], size: int) -> list[bytes]:
    """The first `size` bytes of each row."""
    raw = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), rows.dtype.itemsize)
    flat = np.ascontiguousarray(raw[:, :size]).tobytes()
    return [flat[at : at + size] for at in range(0, len(flat), size)]


def empty(*, slots: int, backends: int) -> Actual:
    """A kernel that holds nothing yet, with that much room."""
    from undermesh.compile.desired import SLOT
    from undermesh.reconcile.steps import BACKEND_ROW

    return Actual(
        services=np.zeros(0, SERVICE),
        slots=np.zeros(slots, SLOT),
        backends=np.zeros(backends, BACKEND_ROW),
        open=np.zeros(backends, np.uint32),
    )


def _without(services: NDArray[np.void], gone: list[bytes]) -> NDArray[np.void]:
    # The last four bytes of an address tell nearly all of them apart.
    ends = np.ascontiguousarray(services["address"][:, 12:]).view("<u4").reshape(-1)
    wanted_ends = np.array([int.from_bytes(key[12:16], "little") for key in gone], "<u4")
    near = np.flatnonzero(np.isin(ends, wanted_ends))
    wanted = set(gone)
    drop = [int(at) for at, key in zip(near, keys(services[near]), strict=True) if key in wanted]
    return np.delete(services, drop) if drop else services
