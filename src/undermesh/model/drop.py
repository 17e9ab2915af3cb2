# SPDX-License-Identifier: Apache-2.0
"""Packets the kernel threw away, by its own reason."""

from dataclasses import dataclass

from undermesh.model.edge import End
from undermesh.model.flow import Address
from undermesh.model.workload import NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    address: Address
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A row of `drops`. `workload` owned the socket the packets belonged to, None without one.

    `source` and `destination` are those of the last packet; None where they could not be read.
    """

    node: NodeId
    reason: str
    workload: End | None
    protocol: str
    port: int
    packets: int
    bytes: int
    last_ns: int
    source: Endpoint | None
    destination: Endpoint | None
