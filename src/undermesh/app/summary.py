# SPDX-License-Identifier: Apache-2.0
"""What an object comes to, in a few words, for a table."""

from collections.abc import Iterable
from typing import assert_never

from undermesh.model.objects import Spec
from undermesh.model.protocol import Transport
from undermesh.model.service import (
    Balancing,
    EndpointSet,
    PrioritySpec,
    Service,
    ServicePort,
    WorkloadSpec,
)


def summary(specs: Iterable[Spec]) -> str:
    """ "80→8080 · maglev", "3 endpoints of shop/cart", "unit web.service", "critical"."""
    return ", ".join(_one(spec) for spec in specs)


def _one(spec: Spec) -> str:
    match spec:
        case Service():
            return _service(spec)
        case EndpointSet():
            count = len(spec.endpoints)
            return f"{count} endpoint{'s' if count != 1 else ''} of {spec.service}"
        case WorkloadSpec():
            return ", ".join(f"{kind} {value}" for kind, value in spec.match.items())
        case PrioritySpec():
            return str(spec.level)
        case _:
            assert_never(spec)


def _service(service: Service) -> str:
    if service.external is not None:
        return f"external: {service.external.name}"
    parts = [" ".join(_port(port) for port in service.ports)]
    if service.headless:
        parts.append("headless")
    elif service.balancing is not Balancing.RANDOM:
        parts.append(str(service.balancing))
    return " · ".join(part for part in parts if part)


def _port(port: ServicePort) -> str:
    text = str(port.port) if port.target == port.port else f"{port.port}→{port.target}"
    return text if port.transport is Transport.TCP else f"{text}/{port.transport}"
