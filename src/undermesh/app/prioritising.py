# SPDX-License-Identifier: Apache-2.0
"""What Priorities come to on this host: workloads and services as they are now."""

from collections.abc import Collection, Iterable, Mapping

from undermesh.app.steering import Steering
from undermesh.compile.shards import resolve
from undermesh.model.priority import Importance
from undermesh.model.service import Address, Netns, ServiceName
from undermesh.model.workload import Workload
from undermesh.traffic import priority

NONE = Importance(marks={})


def importance(
    steering: Steering,
    workloads: Iterable[Workload],
    *,
    listeners: Mapping[tuple[Netns, int], int],
    places: Mapping[Address, Netns],
    congestion: Collection[str],
) -> Importance:
    """Marks and classes for what was asked for. `listeners` is (namespace, port) → cgroup id."""
    if not steering.priorities:
        return NONE
    named = {name for spec in steering.priorities for name in spec.services}
    ids = {name: number for name in named if (number := steering.id_of(name)) is not None}
    return priority.desired(
        steering.priorities,
        priority.World(
            workloads=tuple(workloads),
            specs=steering.workload_specs,
            services=ids,
            serving=priority.serving(_resolved(steering, named), listeners, places),
            congestion=congestion,
        ),
    )


def _resolved(
    steering: Steering, names: Iterable[ServiceName]
) -> dict[ServiceName, list[tuple[Address, int, Netns]]]:
    world = steering.world
    found: dict[ServiceName, list[tuple[Address, int, Netns]]] = {}
    for name in names:
        service = steering.services.get(name)
        if world is None or service is None:
            continue
        ends = (one for port in service.ports for one in resolve(world, service, port))
        found[name] = [(one.endpoint.address, one.port, one.endpoint.netns) for one in ends]
    return found
