# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' v1 `Service`.

Fields: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/
What it has no field for are annotations `undermesh.io/…` (annotations.py).
"""

from collections.abc import Iterator
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from undermesh.manifests import scalars
from undermesh.manifests.annotations import Behaviour, behaviour
from undermesh.manifests.faults import Fault, Path, Refused, warning
from undermesh.manifests.meaning import Kind, Meaning
from undermesh.manifests.metadata import Manifest, Wire
from undermesh.manifests.own_service import TRANSPORTS, port_faults
from undermesh.manifests.scalars import AddressText, HostName, NetworkText, Port, PortName
from undermesh.model.objects import ObjectKey
from undermesh.model.protocol import Transport
from undermesh.model.service import (
    Address,
    External,
    Locality,
    Service,
    ServiceName,
    ServicePort,
)

Protocol = Literal["TCP", "UDP", "SCTP"]
Family = Literal["IPv4", "IPv6"]

DISTRIBUTIONS = {
    "": Locality.ANY,
    "PreferClose": Locality.ZONE,
    "PreferSameZone": Locality.ZONE,
    "PreferSameNode": Locality.NODE,
}


def _cluster_address(text: str) -> Address | None:
    return None if text in ("", "None") else scalars.address(text)


ClusterAddress = Annotated[
    str, Meta(extra={"parse": _cluster_address, "allowed": "an address, or None for headless"})
]


class PortFields(Wire):
    """ServicePort."""

    port: Port
    name: PortName | None = None
    protocol: Protocol = "TCP"
    target_port: Port | PortName | None = None
    node_port: Annotated[int, Meta(ge=0, le=65535)] | None = None
    app_protocol: str | None = None


class ClientAddress(Wire):
    """ClientIPConfig."""

    timeout_seconds: Annotated[int, Meta(ge=1, le=86400)] = 10800


class AffinityFields(Wire):
    """SessionAffinityConfig."""

    client: ClientAddress | None = field(name="clientIP", default=None)


class ServiceFields(Wire):
    """ServiceSpec."""

    ports: list[PortFields] = []
    selector: dict[str, str] = {}
    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    cluster_address: ClusterAddress = field(name="clusterIP", default="")
    cluster_addresses: list[ClusterAddress] = field(name="clusterIPs", default=[])
    external_addresses: list[AddressText] = field(name="externalIPs", default=[])
    external_name: HostName | None = None
    session_affinity: Literal["ClientIP", "None", ""] = "None"
    session_affinity_config: AffinityFields | None = None
    internal_traffic_policy: Literal["Cluster", "Local"] = "Cluster"
    external_traffic_policy: Literal["Cluster", "Local", ""] = ""
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode", ""] = ""
    publish_not_ready_addresses: bool = False
    ip_families: list[Family] = []
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = None
    load_balancer_address: AddressText | None = field(name="loadBalancerIP", default=None)
    load_balancer_source_ranges: list[NetworkText] = []
    load_balancer_class: str | None = None
    allocate_load_balancer_node_ports: bool | None = None
    health_check_node_port: Annotated[int, Meta(ge=0, le=65535)] | None = None


class ServiceManifest(Manifest):
    """A v1 Service. `status` is what a cluster writes and is not read."""

    spec: ServiceFields
    status: dict[str, Any] = {}


def service(wire: ServiceManifest, origin: str) -> Meaning:
    """What a v1 Service means."""
    meta, spec = wire.metadata, wire.spec
    found = list(_sctp(spec))
    ports = tuple(_port(port) for port in spec.ports)
    found += port_faults(ports)
    found += _contradictions(wire)
    extra = Behaviour()
    try:
        extra = behaviour(meta.annotations)
    except Refused as refused:
        found += refused.faults
    if any(fault.severity == "error" for fault in found):
        raise Refused(found)
    made = _made(wire, ports, extra, origin)
    key = ObjectKey("Service", meta.namespace, meta.name)
    return Meaning(key=key, specs=(made,), notes=tuple(found))


def _made(
    wire: ServiceManifest, ports: tuple[ServicePort, ...], extra: Behaviour, origin: str
) -> Service:
    meta, spec = wire.metadata, wire.spec
    external, addresses = None, tuple(_addresses(spec))
    if spec.type == "ExternalName" and spec.external_name:
        external = External(name=scalars.host(spec.external_name))
    return Service(
        name=ServiceName(meta.namespace, scalars.label(meta.name)),
        ports=ports,
        addresses=() if external else addresses,
        headless=not external and spec.cluster_address == "None",
        external=external,
        selector=MappingProxyType({} if external else spec.selector),
        balancing=extra.balancing,
        locality=extra.locality or _locality(spec),
        affinity=extra.affinity or _affinity(spec),
        splits=extra.splits,
        check=extra.check,
        ejection=extra.ejection,
        drain=extra.drain,
        fastpath=extra.fastpath,
        publish_unready=spec.publish_not_ready_addresses,
        origin=origin,
    )


def _port(wire: PortFields) -> ServicePort:
    target = wire.port if wire.target_port is None else wire.target_port
    return ServicePort(
        name=scalars.port_name(wire.name) if wire.name else "",
        port=wire.port,
        transport=TRANSPORTS.get(wire.protocol, Transport.TCP),
        target=scalars.port_name(target) if isinstance(target, str) else target,
    )


def _addresses(spec: ServiceFields) -> Iterator[Address]:
    """Each address the service asks for, once."""
    texts = [spec.cluster_address, *spec.cluster_addresses, *spec.external_addresses]
    found = (_cluster_address(text) for text in texts)
    yield from dict.fromkeys(address for address in found if address is not None)


def _affinity(spec: ServiceFields) -> timedelta | None:
    if spec.session_affinity != "ClientIP":
        return None
    given = spec.session_affinity_config
    client = given.client if given and given.client else ClientAddress()
    return timedelta(seconds=client.timeout_seconds)


def _locality(spec: ServiceFields) -> Locality:
    if spec.internal_traffic_policy == "Local":
        return Locality.NODE_ONLY
    return DISTRIBUTIONS[spec.traffic_distribution]


def _sctp(spec: ServiceFields) -> Iterator[Fault]:
    for index, port in enumerate(spec.ports):
        if port.protocol == "SCTP":
            at: Path = ("spec", "ports", index, "protocol")
            yield Fault(path=at, message="SCTP is not balanced", allowed="one of TCP, UDP")


def _contradictions(wire: ServiceManifest) -> Iterator[Fault]:
    spec, at = wire.spec, ("spec",)
    try:
        scalars.label(wire.metadata.name)
    except ValueError as wrong:
        said = f'"{wire.metadata.name}" {wrong}'
        allowed = "one label: at most 63 of a-z, 0-9 and -"
        yield Fault(path=("metadata", "name"), message=said, allowed=allowed)
    if spec.type == "ExternalName":
        if not spec.external_name:
            said = "is missing: type is ExternalName"
            yield Fault(path=(*at, "externalName"), message=said, allowed="a host name")
        return
    if not spec.ports and spec.cluster_address != "None":
        yield Fault(path=(*at, "ports"), message="is missing", allowed="at least one port")
    given = spec.cluster_addresses
    if given and spec.cluster_address and given[0] != spec.cluster_address:
        said = f"{given[0]} is not clusterIP, {spec.cluster_address}"
        allowed = "clusterIP first, then at most one of the other family"
        yield Fault(path=(*at, "clusterIPs", 0), message=said, allowed=allowed)
    if spec.type in ("NodePort", "LoadBalancer") and not spec.external_addresses:
        said = f"{spec.type}: served at its own address on this host, not opened to others"
        yield warning((*at, "type"), said)
    if spec.load_balancer_address:
        scalars.address(spec.load_balancer_address)
    if [scalars.network(text) for text in spec.load_balancer_source_ranges]:
        said = "who may connect is not limited by a Service here"
        yield warning((*at, "loadBalancerSourceRanges"), said, "a NetworkPolicy limits it")


KINDS = (Kind("v1", "Service", ServiceManifest, service),)
