# SPDX-License-Identifier: Apache-2.0
"""GET /v1/samples."""

from msgspec import Struct

from undermesh.model.sample import Sample
from undermesh.wire import SCHEMA
from undermesh.wire.times import Clock


class SampleRow(Struct, kw_only=True):
    """One request. `status` 0: cut without an answer."""

    node: str = ""
    time: str
    client: str
    client_namespace: str = ""
    server: str
    server_namespace: str = ""
    port: int
    method: str
    path: str
    status: int
    duration_ms: float
    request_bytes: int = 0
    kind: str = "plain"
    client_address: str = ""
    client_port: int = 0
    server_address: str = ""
    server_port: int = 0


class Samples(Struct, kw_only=True):
    """Newest last."""

    schema: int = SCHEMA
    samples: list[SampleRow]


def row(sample: Sample, clock: Clock) -> SampleRow:
    """A sample as it goes out."""
    return SampleRow(
        node=sample.node,
        time=clock.iso(sample.start_ns),
        client=sample.client.name,
        client_namespace=sample.client.namespace,
        server=sample.server.name,
        server_namespace=sample.server.namespace,
        port=sample.port,
        method=sample.method,
        path=sample.path,
        status=sample.status,
        duration_ms=round(sample.duration_ns / 1e6, 3),
        request_bytes=sample.request_bytes,
        kind=sample.kind.value,
        client_address=str(sample.client_address),
        client_port=sample.client_port,
        server_address=str(sample.server_address),
        server_port=sample.server_port,
    )
