# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' v1 `Endpoints` and discovery.k8s.io/v1 `EndpointSlice`.

Fields: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
The names of their ports are those of the service's ports, not of its target ports.
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import Meta

from undermesh.manifests import scalars
from undermesh.manifests.explaining import show
from undermesh.manifests.faults import Fault, Path, Refused
from undermesh.manifests.kubernetes import Protocol
from undermesh.manifests.meaning import Kind, Meaning
from undermesh.manifests.metadata import Manifest, Metadata, Wire
from undermesh.manifests.scalars import AddressText, Port, PortName
from undermesh.model.objects import ObjectKey
from undermesh.model.service import Endpoint, EndpointSet, ServiceName
from undermesh.model.workload import NO_LABELS, NodeId

SERVICE_LABEL = "kubernetes.io/service-name"
_CLUSTER_LABELS = ("kubernetes.io/", "endpointslice.kubernetes.io/", "service.kubernetes.io/")


class PortFields(Wire):
    """EndpointPort. Without a number it is every port, which nobody can be sent to."""

    port: Port | None = None
    name: PortName | Literal[""] | None = None
    protocol: Protocol = "TCP"
    app_protocol: str | None = None


class Conditions(Wire):
    """EndpointConditions; what is not said is the best that could be."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Target(Wire):
    """ObjectReference: whom an endpoint stands for."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    resource_version: str = ""
    field_path: str = ""


class Hint(Wire):
    """ForZone, ForNode."""

    name: str


class Hints(Wire):
    """EndpointHints, which follow from where clients are; here that is done anew."""

    for_zones: list[Hint] = []
    for_nodes: list[Hint] = []


class SliceEndpoint(Wire):
    """Endpoint of a slice."""

    addresses: Annotated[list[str], Meta(min_length=1, max_length=100)]
    conditions: Conditions | None = None
    hostname: str | None = None
    target_ref: Target | None = None
    deprecated_topology: dict[str, str] = {}
    node_name: str | None = None
    zone: str | None = None
    hints: Hints | None = None


class SliceManifest(Manifest):
    """An EndpointSlice."""

    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: list[SliceEndpoint] = []
    ports: list[PortFields] = []


class SubsetAddress(Wire):
    """EndpointAddress."""

    ip: AddressText
    hostname: str = ""
    node_name: str | None = None
    target_ref: Target | None = None


class Subset(Wire):
    """EndpointSubset."""

    addresses: list[SubsetAddress] = []
    not_ready_addresses: list[SubsetAddress] = []
    ports: list[PortFields] = []


class EndpointsManifest(Manifest):
    """An Endpoints object, whose name is that of its service."""

    subsets: list[Subset] = []


def endpoint_slice(wire: SliceManifest, origin: str) -> Meaning:
    """What an EndpointSlice means."""
    meta = wire.metadata
    found = [*_slice_faults(wire), *_port_faults(wire.ports, ())]
    ports = _ports(wire.ports)
    labels = _labels(meta)
    family = IPv6Address if wire.address_type == "IPv6" else IPv4Address
    try:
        held = tuple([_of_slice(one, family, ports, labels) for one in wire.endpoints])
    except ValueError:
        found += _address_faults(wire, family)
    if found:
        raise Refused(found)
    key = ObjectKey("EndpointSlice", meta.namespace, meta.name)
    made = EndpointSet(
        service=ServiceName(meta.namespace, meta.labels[SERVICE_LABEL]),
        source=str(key),
        endpoints=held,
        origin=origin,
    )
    return Meaning(key=key, specs=(made,))


def _of_slice(
    wire: SliceEndpoint,
    family: type[IPv4Address] | type[IPv6Address],
    ports: Mapping[str, int],
    labels: Mapping[str, str],
) -> Endpoint:
    """One endpoint. Its addresses mean the same, by definition: the first is used.

    One that is terminating is never `ready` in a slice; whether it still answers is `serving`.
    """
    address = scalars.address(wire.addresses[0])
    if not isinstance(address, family):
        raise ValueError("is of the other family")
    said = wire.conditions
    ready, draining = True, False
    if said is not None:
        draining = said.terminating is True
        ready = said.ready is not False or (draining and said.serving is True)
    return Endpoint(
        address=address,
        ports=ports,
        node=NodeId(wire.node_name or ""),
        zone=wire.zone or "",
        ready=ready,
        draining=draining,
        labels=labels,
        target=_target(wire.target_ref) if wire.target_ref else "",
    )


def _target(wire: Target) -> str:
    name = f"{wire.namespace}/{wire.name}" if wire.namespace else wire.name
    return f"{wire.kind.lower()} {name}".strip()


def _labels(meta: Metadata) -> Mapping[str, str]:
    """A slice's labels of one's own are those of its endpoints: splits choose by them."""
    own = {n: text for n, text in meta.labels.items() if not n.startswith(_CLUSTER_LABELS)}
    return MappingProxyType(own) if own else NO_LABELS


def _ports(wire: Iterable[PortFields]) -> Mapping[str, int]:
    return MappingProxyType({port.name or "": port.port for port in wire if port.port})


def _slice_faults(wire: SliceManifest) -> Iterator[Fault]:
    if not wire.metadata.labels.get(SERVICE_LABEL):
        said = f"names no service: there is no label {SERVICE_LABEL}"
        allowed = f"{SERVICE_LABEL}: NAME"
        yield Fault(path=("metadata", "labels"), message=said, allowed=allowed)
    if wire.address_type == "FQDN":
        said = "names are not connected to: their addresses change unseen"
        allowed = "IPv4 or IPv6; a Service of type ExternalName for a name"
        yield Fault(path=("addressType",), message=said, allowed=allowed)


def _address_faults(
    wire: SliceManifest, family: type[IPv4Address] | type[IPv6Address]
) -> Iterator[Fault]:
    if wire.address_type == "FQDN":
        return
    for index, endpoint in enumerate(wire.endpoints):
        text = endpoint.addresses[0]
        try:
            wrong = not isinstance(scalars.address(text), family)
        except ValueError:
            wrong = True
        if wrong:
            at: Path = ("endpoints", index, "addresses", 0)
            said = f"{show(text)} is not an {wire.address_type} address"
            yield Fault(path=at, message=said, allowed="addresses as addressType says")


def _port_faults(ports: list[PortFields], at: Path) -> Iterator[Fault]:
    names: set[str] = set()
    for index, port in enumerate(ports):
        here = (*at, "ports", index)
        name = port.name or ""
        if port.protocol == "SCTP":
            said = "SCTP is not balanced"
            yield Fault(path=(*here, "protocol"), message=said, allowed="one of TCP, UDP")
        if name in names:
            said = f'"{name}" is the name of a port before it'
            yield Fault(path=(*here, "name"), message=said, allowed="a name of its own")
        names.add(name)


def endpoints(wire: EndpointsManifest, origin: str) -> Meaning:
    """What an Endpoints object means."""
    meta = wire.metadata
    found: list[Fault] = []
    for index, subset in enumerate(wire.subsets):
        found += _port_faults(subset.ports, ("subsets", index))
    if found:
        raise Refused(found)
    key = ObjectKey("Endpoints", meta.namespace, meta.name)
    made = EndpointSet(
        service=ServiceName(meta.namespace, meta.name),
        source=str(key),
        endpoints=tuple(_of_subsets(wire.subsets, _labels(meta))),
        origin=origin,
    )
    return Meaning(key=key, specs=(made,))


def _of_subsets(subsets: Iterable[Subset], labels: Mapping[str, str]) -> Iterator[Endpoint]:
    for subset in subsets:
        ports = _ports(subset.ports)
        for ready, wires in ((True, subset.addresses), (False, subset.not_ready_addresses)):
            for wire in wires:
                yield Endpoint(
                    address=scalars.address(wire.ip),
                    ports=ports,
                    node=NodeId(wire.node_name or ""),
                    ready=ready,
                    labels=labels,
                    target=_target(wire.target_ref) if wire.target_ref else "",
                )


KINDS = (
    Kind("v1", "Endpoints", EndpointsManifest, endpoints),
    Kind("discovery.k8s.io/v1", "EndpointSlice", SliceManifest, endpoint_slice),
)
