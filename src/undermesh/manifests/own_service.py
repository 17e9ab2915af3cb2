# SPDX-License-Identifier: Apache-2.0
"""undermesh.io/v1alpha1 `Service`: for hosts without Kubernetes, and for what its Service lacks."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import Meta

from undermesh.manifests import behaviour, scalars
from undermesh.manifests.behaviour import CheckFields, EjectionFields, SplitFields
from undermesh.manifests.faults import Fault, Refused, warning
from undermesh.manifests.meaning import Kind, Meaning
from undermesh.manifests.metadata import Manifest, Wire
from undermesh.manifests.own import API
from undermesh.manifests.scalars import (
    AddressText,
    Duration,
    HostName,
    Lasting,
    Port,
    PortName,
)
from undermesh.model.objects import ObjectKey, Spec
from undermesh.model.protocol import Transport
from undermesh.model.service import (
    Balancing,
    Endpoint,
    EndpointSet,
    External,
    Locality,
    Service,
    ServiceName,
    ServicePort,
)
from undermesh.model.workload import NodeId

TRANSPORTS = {"TCP": Transport.TCP, "UDP": Transport.UDP}

Weight = Annotated[int, Meta(ge=0, le=65535)]


class PortFields(Wire):
    """One of `ports`."""

    port: Port
    name: PortName = ""
    protocol: Literal["TCP", "UDP"] = "TCP"
    target_port: Port | PortName | None = None


class EndpointFields(Wire):
    """One of `endpoints`: somebody who answers, by address."""

    address: AddressText
    port: Port | None = None
    ports: dict[PortName, Port] = {}
    weight: Weight = 1
    node: str = ""
    zone: str = ""
    ready: bool = True
    draining: bool = False
    labels: dict[str, str] = {}


class ServiceFields(Wire):
    """`spec` of a Service."""

    ports: list[PortFields] = []
    selector: dict[str, str] = {}
    endpoints: list[EndpointFields] = []
    addresses: list[AddressText] = []
    headless: bool = False
    external_name: HostName | None = None
    balancing: Balancing = Balancing.RANDOM
    locality: Locality = Locality.ANY
    affinity: Lasting | None = None
    splits: list[SplitFields] = []
    check: CheckFields | None = None
    ejection: EjectionFields | None = None
    drain: Duration = "30s"
    fastpath: bool = False
    publish_not_ready: bool = False


class ServiceManifest(Manifest):
    """A Service of ours."""

    spec: ServiceFields


def service(wire: ServiceManifest, origin: str) -> Meaning:
    """What a Service of ours means."""
    meta, spec = wire.metadata, wire.spec
    ports = tuple(_port(port) for port in spec.ports)
    found = _faults(wire, ports)
    key = ObjectKey("Service.undermesh.io", meta.namespace, meta.name)
    try:
        made = _made(wire, ports, origin)
    except Refused as refused:
        raise Refused((*found, *refused.faults)) from None
    if any(fault.severity == "error" for fault in found):
        raise Refused(found)
    specs: tuple[Spec, ...] = (made,)
    if spec.endpoints:
        default = {port.name: port.target for port in ports if isinstance(port.target, int)}
        held = tuple(_endpoint(endpoint, default) for endpoint in spec.endpoints)
        specs += (EndpointSet(service=made.name, source=str(key), endpoints=held, origin=origin),)
    return Meaning(key=key, specs=specs, notes=tuple(found))


def _made(wire: ServiceManifest, ports: tuple[ServicePort, ...], origin: str) -> Service:
    meta, spec = wire.metadata, wire.spec
    said = behaviour.behaved(spec, lambda name: ("spec", name))
    return Service(
        name=ServiceName(meta.namespace, meta.name),
        ports=ports,
        addresses=tuple(scalars.address(text) for text in spec.addresses),
        headless=spec.headless,
        external=External(name=scalars.host(spec.external_name)) if spec.external_name else None,
        selector=MappingProxyType(spec.selector),
        balancing=spec.balancing,
        locality=spec.locality,
        affinity=scalars.positive(spec.affinity) if spec.affinity else None,
        splits=said.splits,
        check=said.check,
        ejection=said.ejection,
        drain=scalars.duration(spec.drain),
        fastpath=spec.fastpath,
        publish_unready=spec.publish_not_ready,
        origin=origin,
    )


def _port(wire: PortFields) -> ServicePort:
    target = wire.port if wire.target_port is None else wire.target_port
    return ServicePort(
        name=wire.name and scalars.port_name(wire.name),
        port=wire.port,
        transport=TRANSPORTS[wire.protocol],
        target=scalars.port_name(target) if isinstance(target, str) else target,
    )


def _endpoint(wire: EndpointFields, default: Mapping[str, int]) -> Endpoint:
    """An endpoint without a port of its own has those the service sends to."""
    own = {scalars.port_name(name): port for name, port in wire.ports.items()}
    return Endpoint(
        address=scalars.address(wire.address),
        ports=MappingProxyType({"": wire.port} if wire.port else own or dict(default)),
        weight=wire.weight,
        node=NodeId(wire.node),
        zone=wire.zone,
        ready=wire.ready,
        draining=wire.draining,
        labels=MappingProxyType(wire.labels),
        target=f"endpoint {wire.address}",
    )


def _faults(wire: ServiceManifest, ports: tuple[ServicePort, ...]) -> list[Fault]:
    spec = wire.spec
    found = [*port_faults(ports), *_endpoint_faults(spec, ports), *_contradictions(spec)]
    try:
        scalars.label(wire.metadata.name)
    except ValueError as wrong:
        found.append(
            Fault(
                path=("metadata", "name"),
                message=f'"{wire.metadata.name}" {wrong}',
                allowed="one label: at most 63 of a-z, 0-9 and -",
            )
        )
    if not ports and not spec.headless and not spec.external_name:
        found.append(
            Fault(path=("spec", "ports"), message="is missing", allowed="at least one port")
        )
    return found


def port_faults(ports: tuple[ServicePort, ...]) -> list[Fault]:
    """What is wrong between the ports of one service, Kubernetes' or ours."""
    found = []
    names: dict[str, int] = {}
    numbers: dict[tuple[int, Transport], int] = {}
    for index, port in enumerate(ports):
        at = ("spec", "ports", index)
        if not port.name and len(ports) > 1:
            said = "is missing: a service of several ports names each"
            found.append(Fault(path=(*at, "name"), message=said, allowed="a name of its own"))
        elif (first := names.setdefault(port.name, index)) != index:
            said = f'"{port.name}" is the name of ports[{first}] already'
            found.append(Fault(path=(*at, "name"), message=said, allowed="a name of its own"))
        first = numbers.setdefault((port.port, port.transport), index)
        if first != index:
            said = f"{port.port}/{port.transport} is ports[{first}] already"
            found.append(Fault(path=(*at, "port"), message=said, allowed="a port of its own"))
    return found


def _endpoint_faults(spec: ServiceFields, ports: tuple[ServicePort, ...]) -> list[Fault]:
    found: list[Fault] = []
    unnamed = [port.target for port in ports if isinstance(port.target, str)]
    for index, endpoint in enumerate(spec.endpoints):
        at = ("spec", "endpoints", index)
        if endpoint.port and endpoint.ports:
            said = "stands beside ports"
            found.append(Fault(path=(*at, "port"), message=said, allowed="port or ports"))
        if not endpoint.port and not endpoint.ports and (unnamed or not ports):
            why = f'targetPort "{unnamed[0]}" is a name' if unnamed else "the service has no ports"
            said = f"endpoint {endpoint.address} is without a port and {why}"
            allowed = "port: NUMBER, or ports: {NAME: NUMBER}"
            found.append(Fault(path=at, message=said, allowed=allowed))
    if spec.endpoints and not any(endpoint.weight for endpoint in spec.endpoints):
        said = "has weights that sum to zero: nobody would be chosen"
        allowed = "a weight above 0; an endpoint that should get nothing new is draining: true"
        found.append(Fault(path=("spec", "endpoints"), message=said, allowed=allowed))
    return found


def _contradictions(spec: ServiceFields) -> list[Fault]:
    """Fields that say two things at once."""
    found = []
    if spec.external_name:
        for name in ("selector", "endpoints", "addresses", "splits", "headless"):
            if getattr(spec, name):
                said = "stands beside externalName, which is only another name"
                found.append(Fault(path=("spec", name), message=said, allowed="one of the two"))
    if spec.headless and spec.addresses:
        said = "stands beside headless, which has no address"
        found.append(Fault(path=("spec", "addresses"), message=said, allowed="one of the two"))
    if spec.headless and spec.fastpath:
        said = "has no effect on a headless service: clients connect to its endpoints"
        found.append(warning(("spec", "fastpath"), said))
    return found


KINDS = (Kind(API, "Service", ServiceManifest, service),)
