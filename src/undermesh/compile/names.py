# SPDX-License-Identifier: Apache-2.0
"""What service names answer with."""

from undermesh.compile.desired import NameEntry
from undermesh.compile.shards import resolve
from undermesh.compile.world import World
from undermesh.model.service import Address, Service, ServiceName
from undermesh.traffic import endpoints, externals
from undermesh.traffic.states import NotReady


def entry(world: World, name: ServiceName) -> NameEntry:
    """What a service's name answers with. A circle of external names answers with nothing."""
    service = world.services[name]
    if service.external is not None:
        match externals.follow(name, world.services):
            case externals.Outside(name=outside):
                return NameEntry(service=name, ports=service.ports, external=outside)
            case externals.Inside(service=inside):
                full = f"{inside.name}.{inside.namespace}.svc.{externals.MESH}"
                return NameEntry(service=name, ports=service.ports, external=full)
            case externals.Cycle():
                return NameEntry(service=name, ports=service.ports)
    if service.headless:
        return NameEntry(service=name, ports=service.ports, endpoints=_headless(world, service))
    return NameEntry(service=name, addresses=world.addresses.get(name, ()), ports=service.ports)


def _headless(world: World, service: Service) -> tuple[tuple[Address, tuple[int, ...]], ...]:
    """Usable endpoints by address, and the port of each of the service's ports there.

    Loopback addresses answer too: a name does not know who asks.
    """
    if not service.ports:
        sets = world.endpoint_sets.get(service.name, ())
        picked = world.selected.get(service.name, endpoints.NOBODY).endpoints
        everybody = (*(one for listed in sets for one in listed.endpoints), *picked)
        well = (one for one in everybody if one.ready or service.publish_unready)
        return tuple((address, ()) for address in dict.fromkeys(one.address for one in well))
    found: dict[Address, list[int]] = {}
    for position, port in enumerate(service.ports):
        for one in resolve(world, service, port):
            unready = service.publish_unready and isinstance(one.state, NotReady)
            if one.usable or unready:
                ports = found.setdefault(one.endpoint.address, [0] * len(service.ports))
                ports[position] = ports[position] or one.port
    return tuple((address, tuple(ports)) for address, ports in found.items())
