# SPDX-License-Identifier: Apache-2.0
"""um_sample records → sampled requests."""

from dataclasses import dataclass

import numpy as np

from undermesh.model.sample import Sample, SampleKind
from undermesh.model.workload import NodeId
from undermesh.telemetry.flows import address, matcher, text
from undermesh.telemetry.growth import Structured
from undermesh.telemetry.names import Names
from undermesh.telemetry.records import Records
from undermesh.telemetry.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFilter:
    """What is asked for; None asks for all. `workload` and `peer` are either end's name."""

    workload: str | None = None
    port: int | None = None
    peer: str | None = None
    kind: SampleKind | None = None


class SampleReader:
    """Turns records into samples."""

    def __init__(self, *, vocabulary: Vocabulary, names: Names, node: NodeId) -> None:
        self._words = vocabulary
        self._names = names
        self._node = node

    def read(self, records: Structured, asked: SampleFilter) -> list[Sample]:
        """Samples that match, in the order of `records`."""
        keep = np.ones(len(records), bool)
        if asked.port is not None:
            keep &= (records["port"] == asked.port) | (records["server_port"] == asked.port)
        if asked.kind is not None:
            kinds = [number for number, kind in self._words.kinds.items() if kind is asked.kind]
            keep &= np.isin(records["kind"], kinds)
        samples = [self._sample(record) for record in records[keep]]
        return [sample for sample in samples if _matches(sample, asked)]

    def last(self, kept: Records, asked: SampleFilter, *, limit: int) -> list[Sample]:
        """The newest `limit` kept samples that match, oldest first."""
        parts: list[list[Sample]] = []
        found = 0
        for batch in kept.backwards(1024):
            part = self.read(batch, asked)
            parts.append(part)
            found += len(part)
            if found >= limit:
                break
        return [one for part in reversed(parts) for one in part][-limit:] if limit else []

    def _sample(self, record: np.void) -> Sample:
        client, server = int(record["client"]), int(record["server"])
        return Sample(
            node=self._node,
            kind=self._words.kinds.get(int(record["kind"]), SampleKind.PLAIN),
            start_ns=int(record["start_ns"]),
            duration_ns=int(record["duration_ns"]),
            client=self._names.end(client),
            client_address=address(record["client_address"]),
            client_port=int(record["client_port"]),
            server=self._names.server(client, server),
            server_address=address(record["server_address"]),
            server_port=int(record["server_port"]),
            port=int(record["port"]),
            method=self._words.methods.get(int(record["method"]), ""),
            path=text(bytes(record["path"])[: int(record["path_len"])]),
            status=int(record["status"]),
            request_bytes=int(record["request_bytes"]),
        )


def _matches(sample: Sample, asked: SampleFilter) -> bool:
    ends = (sample.client, sample.server)
    for wanted in (asked.workload, asked.peer):
        if wanted is not None and not any(map(matcher(wanted), ends)):
            return False
    return True
