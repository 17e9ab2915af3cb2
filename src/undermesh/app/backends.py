# SPDX-License-Identifier: Apache-2.0
"""Whose number each backend is, read from the kernel's own table when somebody asks."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address

import numpy as np

from undermesh.app.ports import Structured
from undermesh.compile.desired import BackendFlag
from undermesh.model.service import Address, BackendId, Netns, ServiceId, ServiceName
from undermesh.traffic.states import EndpointKey

Owner = tuple[ServiceName, EndpointKey]


class BackendOwners(Mapping[BackendId, Owner]):
    """um_backends as a mapping. `names` is which service a number is."""

    def __init__(self, backends: Structured, names: Mapping[ServiceId, ServiceName]) -> None:
        self._backends = backends
        self._names = names

    def __getitem__(self, number: BackendId) -> Owner:
        if not 0 < number < len(self._backends):
            raise KeyError(number)
        row = self._backends[number]
        name = self._names.get(ServiceId(int(row["service"])))
        if name is None:
            raise KeyError(number)
        return name, EndpointKey(
            address_of(row["address"].tobytes()), int(row["port"]), Netns(int(row["netns"]))
        )

    def __iter__(self) -> Iterator[BackendId]:
        for number in np.flatnonzero(self._backends["service"]).tolist():
            if ServiceId(int(self._backends["service"][number])) in self._names:
                yield BackendId(number)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def of(self, service: ServiceId) -> list[tuple[BackendId, EndpointKey]]:
        """The backends of one service."""
        found = np.flatnonzero(self._backends["service"] == service).tolist()
        return [(BackendId(number), self[BackendId(number)][1]) for number in found if number]

    def in_use(self) -> dict[ServiceName, set[EndpointKey]]:
        """Who is sent connections now, by service."""
        found: dict[ServiceName, set[EndpointKey]] = {}
        usable = self._backends["flags"] & BackendFlag.USABLE
        for number in self:
            if usable[number]:
                name, key = self[number]
                found.setdefault(name, set()).add(key)
        return found


def address_of(raw: bytes) -> Address:
    """The address in 16 bytes of the kernel's."""
    address = IPv6Address(raw.ljust(16, b"\0"))
    return address.ipv4_mapped or address
