# SPDX-License-Identifier: Apache-2.0
"""Services that are only another name, followed to the end of the chain."""

from collections.abc import Mapping
from dataclasses import dataclass

from undermesh.model.service import Service, ServiceName

MESH = "mesh"
CLUSTER = "cluster.local"


@dataclass(frozen=True, slots=True)
class Outside:
    """The chain ends at a name that is no service of the mesh."""

    name: str


@dataclass(frozen=True, slots=True)
class Inside:
    """The chain ends at a service of the mesh."""

    service: ServiceName


@dataclass(frozen=True, slots=True)
class Cycle:
    """The chain leads back to where it was."""

    through: tuple[ServiceName, ...]

    def __str__(self) -> str:
        return "external names in a circle: " + " → ".join(map(str, self.through))


def follow(name: ServiceName, services: Mapping[ServiceName, Service]) -> Outside | Inside | Cycle:
    """Where a service's external name leads. A service without one leads to itself."""
    passed: list[ServiceName] = []
    at = name
    while True:
        if at in passed:
            return Cycle((*passed[passed.index(at) :], at))
        passed.append(at)
        external = services[at].external
        if external is None:
            return Inside(at)
        following = meant(external.name, services)
        if following is None:
            return Outside(external.name.rstrip("."))
        at = following


def meant(name: str, services: Mapping[ServiceName, Service]) -> ServiceName | None:
    """The service a full name means ("cart.shop.svc.mesh", "cart.shop.svc.cluster.local",
    "cart.shop"); None for a name outside."""
    labels = name.lower().rstrip(".").split(".")
    for suffix in (["svc", MESH], ["svc", *CLUSTER.split(".")], ["svc"], [MESH], []):
        if len(labels) == 2 + len(suffix) and labels[2:] == suffix:
            found = ServiceName(labels[1], labels[0])
            return found if found in services else None
    return None
