# SPDX-License-Identifier: Apache-2.0
"""One HTTP request out of the bounded sample."""

from dataclasses import dataclass
from enum import StrEnum

from undermesh.model.edge import End
from undermesh.model.flow import Address
from undermesh.model.workload import NodeId


class SampleKind(StrEnum):
    """Why this one was kept. Errors come first, then the slow tail, then the rest."""

    ERROR = "error"
    SLOW = "slow"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Times are ns of CLOCK_MONOTONIC, `duration_ns` first request byte to first response byte."""

    node: NodeId
    kind: SampleKind
    start_ns: int
    duration_ns: int
    client: End
    client_address: Address
    client_port: int
    server: End
    server_address: Address
    server_port: int
    port: int
    method: str
    path: str
    status: int
    request_bytes: int
