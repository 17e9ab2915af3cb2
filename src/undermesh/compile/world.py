# SPDX-License-Identifier: Apache-2.0
"""Everything that what the kernel is to hold follows from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from undermesh.model.service import (
    NO_NODE,
    Address,
    EndpointSet,
    Service,
    ServiceId,
    ServiceName,
)
from undermesh.model.workload import NodeId
from undermesh.traffic.endpoints import Selected
from undermesh.traffic.states import EndpointKey, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """By service, so that one that did not change is seen by looking at its own values alone.

    Make a new mapping for a change and keep the values that are as they were: a value is taken for
    unchanged when it is the same object, and compared only when it is another. `addresses` and
    `ids` come from traffic.addresses, `selected` from traffic.selecting. `sizes` is how large the
    Maglev tables in force are (compile.sizes): a size is kept where it does.
    """

    services: Mapping[ServiceName, Service]
    ids: Mapping[ServiceName, ServiceId]
    addresses: Mapping[ServiceName, tuple[Address, ...]]
    endpoint_sets: Mapping[ServiceName, tuple[EndpointSet, ...]] = field(default_factory=dict)
    selected: Mapping[ServiceName, Selected] = field(default_factory=dict)
    verdicts: Mapping[ServiceName, Mapping[EndpointKey, Verdict]] = field(default_factory=dict)
    sizes: Mapping[ServiceName, int] = field(default_factory=dict)
    node: NodeId = NO_NODE
    zone: str = ""
