# SPDX-License-Identifier: Apache-2.0
"""What is wrong between objects, each of which is right by itself."""

from collections.abc import Collection, Iterator, Mapping

from undermesh.manifests.gathered import Gathered, gather
from undermesh.model.objects import Diagnostic, Object, Severity
from undermesh.model.protocol import Transport
from undermesh.model.service import (
    Address,
    Endpoint,
    EndpointSet,
    Service,
    ServiceName,
    ServicePort,
    WorkloadSpec,
)

MOST_ENDPOINTS = 65_535
"""In one service: what a slot's number can tell apart."""

_MESH_SUFFIXES = (".svc.cluster.local", ".svc.mesh", ".svc")


def check(objects: Collection[Object]) -> tuple[Diagnostic, ...]:
    """What is wrong with all of `objects` together. Errors and warnings, by service."""
    world = gather(objects)
    found: list[Diagnostic] = []
    found += _claimed_names(world)
    found += _claimed_addresses(world)
    found += _cycles(world)
    for name, service in world.services.items():
        found += _service(service, world.endpoint_sets.get(name, ()), world)
    for name, sets in world.endpoint_sets.items():
        if name not in world.services:
            said = f"there is no Service {name.namespace}/{name.name} for these endpoints"
            found.append(_said(sets[0].origin, "", said, severity="warning"))
    return tuple(found)


def _said(
    origin: str, field: str, message: str, allowed: str = "", severity: Severity = "error"
) -> Diagnostic:
    file, _, line = origin.rpartition(":")
    return Diagnostic(
        file=file or origin,
        line=int(line) if line.isdecimal() else 1,
        column=1,
        field=field,
        message=message,
        allowed=allowed,
        severity=severity,
    )


def _claimed_names(world: Gathered) -> Iterator[Diagnostic]:
    """One service said twice. Consul's instances are many of one; the first one's port counts."""
    for name, others in world.also.items():
        first, key = world.services[name], world.keys[name]
        for other in others:
            service = next(spec for spec in other.specs if isinstance(spec, Service))
            if key.kind == other.key.kind == "ConsulService":
                if service.ports != first.ports:
                    said = (
                        f"instances of {name} have several ports: it is served at"
                        f" {first.ports[0].port}, that of {key.name}"
                    )
                    yield _said(other.origin, "service.port", said, severity="warning")
                continue
            said = f"{other.key} and {key} ({first.origin}) are both the service {name}"
            yield _said(other.origin, "metadata.name", said, "one of them")


def _claimed_addresses(world: Gathered) -> Iterator[Diagnostic]:
    """Two services at one address. With no port in common each is reached, but names are not."""
    claims: dict[Address, list[Service]] = {}
    for service in world.services.values():
        for address in service.addresses:
            claims.setdefault(address, []).append(service)
    for address, services in claims.items():
        taken: dict[tuple[int, Transport], Service] = {}
        for service in services:
            yield from _claims(address, service, taken)


def _claims(
    address: Address, service: Service, taken: dict[tuple[int, Transport], Service]
) -> Iterator[Diagnostic]:
    said = False
    for port in service.ports:
        other = taken.setdefault((port.port, port.transport), service)
        if other is not service and not said:
            said = True
            text = (
                f"{service.name} claims {address}, which {other.name} ({other.origin}) has"
                f" for {port.port}/{port.transport} already"
            )
            yield _said(service.origin, "spec", text, "an address, or a port, of its own")


def _cycles(world: Gathered) -> Iterator[Diagnostic]:
    """External names that lead back to themselves."""
    leads = {
        service.name: target
        for service in world.services.values()
        if service.external and (target := _named(service.external.name, service.name, world))
    }
    done: set[ServiceName] = set()
    for start in leads:
        way: list[ServiceName] = []
        at: ServiceName | None = start
        while at is not None and at not in done and at not in way:
            way.append(at)
            at = leads.get(at)
        if at is not None and at in way:
            circle = way[way.index(at) :]
            text = " → ".join(map(str, [*circle, at]))
            for name in circle:
                said = f"{name} is a name for itself: {text}"
                origin = world.services[name].origin
                yield _said(origin, "spec.externalName", said, "a name that leads somewhere")
        done.update(way)


def _named(name: str, asker: ServiceName, world: Gathered) -> ServiceName | None:
    """The service of ours that a host name is, for whoever asks from the namespace of `asker`."""
    trimmed = name
    for suffix in _MESH_SUFFIXES:
        if name.endswith(suffix):
            trimmed = name.removesuffix(suffix)
            break
    head, _, namespace = trimmed.partition(".")
    found = ServiceName(namespace or asker.namespace, head)
    return found if found in world.services else None


def _service(
    service: Service, sets: tuple[EndpointSet, ...], world: Gathered
) -> Iterator[Diagnostic]:
    if service.external is not None:
        return
    count = sum(len(held.endpoints) for held in sets)
    if count > MOST_ENDPOINTS:
        said = f"{service.name} has {count} endpoints, more than one service can have"
        allowed = f"at most {MOST_ENDPOINTS}; several services, and a balancer before them"
        yield _said(service.origin, "", said, allowed)
        return
    workloads = world.selected(service)
    if not count and not workloads:
        yield from _nobody(service, bool(sets))
        return
    if service.headless:
        return
    yield from _ports(service, sets, workloads)
    if count and not workloads and not any(e.weight for held in sets for e in held.endpoints):
        said = f"weights of all {count} endpoints of {service.name} are 0: nobody would be chosen"
        yield _said(service.origin, "", said, "at least one weight above 0")
    yield from _splits(service, sets, workloads)


def _has(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(name) == text for name, text in wanted.items())


def _nobody(service: Service, listed: bool) -> Iterator[Diagnostic]:
    if service.selector:
        labels = ",".join(f"{name}={text}" for name, text in service.selector.items())
        said = f"{service.name} selects nothing yet: no Workload and no endpoints for {labels}"
        allowed = "connections are refused until a workload with these labels runs"
        yield _said(service.origin, "spec.selector", said, allowed, severity="warning")
    elif not listed:
        said = f"{service.name} has no selector and nobody lists endpoints for it"
        allowed = "connections are refused until there is one"
        yield _said(service.origin, "", said, allowed, severity="warning")


def _ports(
    service: Service, sets: tuple[EndpointSet, ...], workloads: list[WorkloadSpec]
) -> Iterator[Diagnostic]:
    """Each port of the service must be somebody's."""
    bare = next((e for held in sets for e in held.endpoints if not e.ports), None)
    if bare is not None:
        origin = next(held.origin for held in sets if any(not e.ports for e in held.endpoints))
        said = f"endpoint {bare.address} of {service.name} is without a port"
        yield _said(origin, "ports", said, "at least one port with a number")
        return
    for index, port in enumerate(service.ports):
        if any(has_port(port, e) for held in sets for e in held.endpoints):
            continue
        if any(isinstance(port.target, int) or port.target in w.ports for w in workloads):
            continue
        names = {name for held in sets for e in held.endpoints for name in e.ports}
        names.update(name for workload in workloads for name in workload.ports)
        wanted = port.target if isinstance(port.target, str) else port.name
        said = f'nobody who answers for {service.name} has a port "{wanted}"'
        allowed = "they have " + (", ".join(sorted(filter(None, names))) or "none with a name")
        yield _said(service.origin, f"spec.ports[{index}].targetPort", said, allowed)


def has_port(port: ServicePort, endpoint: Endpoint) -> bool:
    """Whether `endpoint` answers for `port`: by the name of the port or of its target, by its only
    port when that has no name, or by the number."""
    ports = endpoint.ports
    return (
        port.name in ports
        or port.target in ports
        or (len(ports) == 1 and "" in ports)
        or port.target in ports.values()
    )


def _splits(
    service: Service, sets: tuple[EndpointSet, ...], workloads: list[WorkloadSpec]
) -> Iterator[Diagnostic]:
    for index, split in enumerate(service.splits):
        if any(_has(e.labels, split.labels) for held in sets for e in held.endpoints):
            continue
        if any(_has(workload.labels, split.labels) for workload in workloads):
            continue
        said = f"no endpoint of {service.name} has these labels yet: its share goes to the others"
        yield _said(service.origin, f"spec.splits[{index}].labels", said, severity="warning")
