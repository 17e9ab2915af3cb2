# SPDX-License-Identifier: Apache-2.0
"""GET /v1/explain."""

from msgspec import Struct, field

from undermesh.wire import SCHEMA


class BackendRow(Struct, kw_only=True):
    """One endpoint of one port. `state` says why it is, or is not, used; the counters are the
    kernel's since the backend has its number; `ewma_ms` is its peak EWMA of latency."""

    address: str
    port: int
    usable: bool
    state: str
    target: str
    node: str
    zone: str
    weight: int
    netns: int
    open: int
    connects: int
    failures: int
    requests: int
    errors: int
    ewma_ms: float


class PortRow(Struct, kw_only=True):
    """One port of the service. `refused`: why it refuses every connection; empty: it does not.
    `elsewhere`: why it refuses those of other network namespaces."""

    name: str
    port: int
    protocol: str
    target: str
    usable: int
    refused: list[str]
    elsewhere: list[str]
    backends: list[BackendRow]


class Explained(Struct, kw_only=True):
    """A service as it stands. `answers`: on every port somebody would."""

    service: str
    namespace: str
    name: str
    answers: bool
    addresses: list[str]
    names: list[str]
    balancing: str
    locality: str
    headless: bool
    external: list[str]
    ports: list[PortRow]
    problems: list[str]
    origin: str
    schema: int = field(default=SCHEMA)
