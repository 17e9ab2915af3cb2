# SPDX-License-Identifier: Apache-2.0
"""A kernel's tables of services as plain memory, written one row at a time as the agent does."""

from collections.abc import Iterator, Sequence

import numpy as np

from undermesh.compile.desired import KEY, BackendFlag, ServiceFlag
from undermesh.reconcile.actual import Actual, empty, keys
from undermesh.reconcile.steps import (
    SERVICE,
    CutBackends,
    DeleteServices,
    ForgetBackends,
    PutBackends,
    PutServices,
    PutSlots,
    RetireBackends,
    Step,
)


class Tables:
    """um_services, um_slots, um_backends and the open counts of um_loads."""

    def __init__(self, *, slots: int = 4096, backends: int = 1024) -> None:
        fresh = empty(slots=slots, backends=backends)
        self.services: dict[bytes, np.void] = {}
        self.slots, self.backends, self.open = fresh.slots, fresh.backends, fresh.open
        self.cut: list[tuple[int, bool]] = []

    def actual(self) -> Actual:
        """What is held, as a copy."""
        rows = np.array(list(self.services.values()), SERVICE)
        return Actual(
            services=rows.reshape(-1),
            slots=self.slots.copy(),
            backends=self.backends.copy(),
            open=self.open.copy(),
        )

    def perform(self, steps: Sequence[Step], *, writes: int | None = None) -> int:
        """Does all of it, or dies after so many writes. Returns how many there were."""
        done = 0
        for step in steps:
            for _ in self._writes(step):
                done += 1
                if done == writes:
                    return done
        return done

    def wrong(self) -> list[str]:
        """Whatever a connect() would stumble over."""
        found = []
        for row in self.services.values():
            at, length = int(row["slots_at"]), int(row["slots"])
            if row["flags"] & ServiceFlag.REFUSED:
                continue
            if not length or at + length > len(self.slots):
                found.append(f"service {row['id']}: slots {at}+{length}")
                continue
            span = self.slots[at : at + length]
            for number in np.unique(np.concatenate([span["backend"], span["other"]])):
                backend = self.backends[number]
                if backend["service"] != row["id"]:
                    found.append(f"service {row['id']}: backend {number} of {backend['service']}")
                elif not backend["flags"] & BackendFlag.USABLE:
                    found.append(f"service {row['id']}: backend {number} is not usable")
        return found

    def _writes(self, step: Step) -> Iterator[None]:
        match step:
            case (
                PutBackends(numbers=numbers, rows=rows) | RetireBackends(numbers=numbers, rows=rows)
            ):
                for number, row in zip(numbers, rows, strict=True):
                    self.backends[number] = row
                    yield
            case PutSlots(at=at, rows=rows):
                for number, row in zip(at, rows, strict=True):
                    self.slots[number] = row
                    yield
            case PutServices(rows=rows):
                for key, row in zip(keys(rows), rows, strict=True):
                    self.services[key] = row.copy()
                    yield
            case DeleteServices(keys=gone):
                for key in keys(gone.astype(KEY)):
                    del self.services[key]
                    yield
            case CutBackends(numbers=numbers, udp_only=udp_only):
                self.cut += [(int(number), udp_only) for number in numbers]
                yield
            case ForgetBackends(numbers=numbers):
                for number in numbers:
                    self.open[number] = 0
                    yield
                    self.backends[number] = 0
                    yield
