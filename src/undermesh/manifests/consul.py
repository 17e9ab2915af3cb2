# SPDX-License-Identifier: Apache-2.0
"""Consul's service definitions, as JSON: `{"service": {…}}`, `{"services": [{…}, …]}`.

Fields: https://developer.hashicorp.com/consul/docs/services/configuration/services-configuration-reference
Consul takes each name in two ways, `enable_tag_override` and `EnableTagOverride`; so does this.
A definition is one instance: it is a Service and its one endpoint. Instances of one name are
gathered into one service (checking.py, gathered.py).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from msgspec import Meta

from undermesh.manifests import consul_checks, scalars
from undermesh.manifests.consul_checks import CheckFields, Snake
from undermesh.manifests.faults import Fault, Path, Refused, warning
from undermesh.manifests.meaning import Kind, Meaning
from undermesh.manifests.scalars import LabelName, Port
from undermesh.model.objects import ObjectKey
from undermesh.model.service import Endpoint, EndpointSet, Service, ServiceName, ServicePort

API = "Consul"


class TaggedAddress(Snake):
    """One of `tagged_addresses`."""

    address: str
    port: int = 0


class Weights(Snake):
    """`weights`: while passing, while warning."""

    passing: Annotated[int, Meta(ge=1, le=65535)] = 1
    warning: Annotated[int, Meta(ge=0, le=65535)] = 1


class Locality(Snake):
    """`locality`."""

    region: str = ""
    zone: str = ""


def _name(text: str) -> str:
    """DNS knows no case; Consul's names may have one."""
    return scalars.label(text.lower())


def _address(text: str) -> object:
    return scalars.address(text) if text else None


Name = Annotated[
    str, Meta(extra={"parse": _name, "allowed": "at most 63 letters, digits and -, as DNS has it"})
]
MaybeAddress = Annotated[
    str, Meta(extra={"parse": _address, "allowed": "an address such as 10.0.0.5 or fd00::5"})
]


class ServiceFields(Snake):
    """One service definition."""

    name: Name
    id: str = ""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    address: MaybeAddress = ""
    tags: list[str] = []
    meta: dict[str, str] = {}
    namespace: LabelName = "default"
    partition: str = ""
    tagged_addresses: dict[str, TaggedAddress] = {}
    weights: Weights | None = None
    check: CheckFields | None = None
    checks: list[CheckFields] = []
    kind: Literal["", "typical"] = ""
    connect: dict[str, Any] | None = None
    proxy: dict[str, Any] | None = None
    enable_tag_override: bool = False
    socket_path: str = ""
    token: str = ""
    locality: Locality | None = None
    node: str = ""
    service_port: Port | None = None


class Definition(Snake):
    """The document: what else an agent's configuration holds is none of ours."""

    service: ServiceFields


def service(wire: Definition, origin: str) -> Meaning:
    """What one definition means."""
    given = wire.service
    found = list(_faults(given))
    check, notes = consul_checks.chosen(given.check, given.checks, given.port)
    found += notes
    if any(fault.severity == "error" for fault in found):
        raise Refused(found)
    key = ObjectKey("ConsulService", given.namespace, given.id or given.name)
    name = ServiceName(given.namespace, _name(given.name))
    made = Service(
        name=name,
        ports=(ServicePort(port=given.port, target=given.port),),
        check=check,
        origin=origin,
    )
    held = EndpointSet(service=name, source=str(key), endpoints=(_endpoint(given),), origin=origin)
    return Meaning(key=key, specs=(made, held), notes=tuple(found))


def _endpoint(given: ServiceFields) -> Endpoint:
    tags = {f"tag.{tag}": "true" for tag in given.tags}
    return Endpoint(
        address=scalars.address(given.address or _tagged(given) or "127.0.0.1"),
        ports=MappingProxyType({"": given.port}),
        weight=given.weights.passing if given.weights else 1,
        zone=given.locality.zone if given.locality else "",
        labels=MappingProxyType({**given.meta, **tags}),
        target=f"consul {given.id or given.name}",
    )


def _tagged(given: ServiceFields) -> str:
    """A service without an address is at its agent's: `lan` where it is said, else this host."""
    for name in ("lan", "lan_ipv4", "lan_ipv6"):
        if tagged := given.tagged_addresses.get(name):
            return tagged.address
    return ""


def _faults(given: ServiceFields) -> list[Fault]:
    found: list[Fault] = []
    at: Path = ("service",)
    if not given.port:
        said = "is missing: an instance without a port cannot be connected to"
        if given.socket_path:
            said = "is missing: services on unix sockets are not steered"
        found.append(Fault(path=(*at, "port"), message=said, allowed="1 to 65535"))
    if given.proxy is not None:
        said = "is a proxy of Consul Connect; none is needed here"
        allowed = "the service itself, without its proxy"
        found.append(Fault(path=(*at, "proxy"), message=said, allowed=allowed))
    if given.connect:
        said = "Consul Connect is not configured here: connections go to the service without proxy"
        found.append(warning((*at, "connect"), said))
    if given.partition not in ("", "default"):
        said = f'admin partitions are not told apart: "{given.partition[:60]}" is read as default'
        found.append(warning((*at, "partition"), said))
    for name in ("lan", "lan_ipv4", "lan_ipv6"):
        tagged = given.tagged_addresses.get(name)
        try:
            _address(tagged.address if tagged else "")
        except ValueError as wrong:
            path: Path = (*at, "tagged_addresses", name, "address")
            found.append(Fault(path=path, message=str(wrong), allowed="an address"))
    return found


def normal(value: object) -> object:
    """A definition with each name as this room writes it: `EnableTagOverride` is the other way."""
    if not isinstance(value, dict):
        return value
    fields = {_folded(name): name for name in ServiceFields.__struct_fields__}
    renamed = _renamed(value, fields)
    checks = {_folded(name): name for name in CheckFields.__struct_fields__}
    weights = {_folded(name): name for name in Weights.__struct_fields__}
    for name, held in renamed.items():
        match name, held:
            case "check", dict():
                renamed[name] = _renamed(held, checks)
            case "checks", list():
                renamed[name] = [
                    _renamed(each, checks) if isinstance(each, dict) else each for each in held
                ]
            case "weights", dict():
                renamed[name] = _renamed(held, weights)
    return renamed


def _renamed(value: dict[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    return {fields.get(_folded(name), name): held for name, held in value.items()}


def _folded(name: str) -> str:
    return name.replace("_", "").lower()


KIND = Kind(API, "service definition", Definition, service)
