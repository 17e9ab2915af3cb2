# SPDX-License-Identifier: Apache-2.0
"""All objects together, by what they are: what the rest of the way down begins with."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from undermesh.model.objects import Object, ObjectKey
from undermesh.model.service import (
    EndpointSet,
    PrioritySpec,
    Service,
    ServiceName,
    WorkloadSpec,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Every spec of the desired state, each service once.

    Several objects may define one service: instances registered with Consul do. The one with the
    first key counts (`check` says where they differ); `also` has the keys of the others.
    """

    services: Mapping[ServiceName, Service]
    keys: Mapping[ServiceName, ObjectKey]
    also: Mapping[ServiceName, tuple[Object, ...]]
    endpoint_sets: Mapping[ServiceName, tuple[EndpointSet, ...]]
    workloads: tuple[WorkloadSpec, ...]
    labelled: Mapping[tuple[str, str, str], tuple[WorkloadSpec, ...]]
    """Workloads by namespace and one of their labels."""
    priorities: tuple[PrioritySpec, ...]

    def selected(self, service: Service) -> list[WorkloadSpec]:
        """Workloads that a service's selector picks; none where it has no selector."""
        wanted = service.selector.items()
        for name, text in wanted:
            with_one = self.labelled.get((service.name.namespace, name, text), ())
            return [workload for workload in with_one if wanted <= workload.labels.items()]
        return []


def gather(objects: Collection[Object]) -> Gathered:
    """The specs of all objects, in the order of their keys."""
    services: dict[ServiceName, Service] = {}
    keys: dict[ServiceName, ObjectKey] = {}
    also: dict[ServiceName, list[Object]] = {}
    sets: dict[ServiceName, list[EndpointSet]] = {}
    workloads: list[WorkloadSpec] = []
    priorities: list[PrioritySpec] = []
    for held in sorted(objects, key=_order):
        for spec in held.specs:
            match spec:
                case Service(name=name):
                    if name in services:
                        also.setdefault(name, []).append(held)
                    else:
                        services[name], keys[name] = spec, held.key
                case EndpointSet(service=name):
                    sets.setdefault(name, []).append(spec)
                case WorkloadSpec():
                    workloads.append(spec)
                case PrioritySpec():
                    priorities.append(spec)
    return Gathered(
        services=services,
        keys=keys,
        also={name: tuple(held) for name, held in also.items()},
        endpoint_sets={name: tuple(held) for name, held in sets.items()},
        workloads=tuple(workloads),
        labelled=_labelled(workloads),
        priorities=tuple(priorities),
    )


def _order(held: Object) -> tuple[str, str, str]:
    return held.key.kind, held.key.namespace, held.key.name


def _labelled(
    workloads: Iterable[WorkloadSpec],
) -> Mapping[tuple[str, str, str], tuple[WorkloadSpec, ...]]:
    found: dict[tuple[str, str, str], list[WorkloadSpec]] = {}
    for workload in workloads:
        for name, text in workload.labels.items():
            found.setdefault((workload.namespace, name, text), []).append(workload)
    return {label: tuple(held) for label, held in found.items()}
