# SPDX-License-Identifier: Apache-2.0
"""Workloads of the host as endpoints, and which of them a service's selector picks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from undermesh.model.service import (
    ANY_NETNS,
    Address,
    Endpoint,
    Netns,
    Service,
    ServiceName,
    WorkloadSpec,
)
from undermesh.model.workload import Workload
from undermesh.traffic.endpoints import NOBODY, Selected

LOOPBACK = IPv4Address("127.0.0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostWorkload:
    """A workload of the host and where it is.

    `netns` is the cookie of the network namespace its processes are in. `address` is one that every
    namespace reaches it by, where the host knows one (a container's).
    """

    workload: Workload
    netns: Netns
    address: Address | None = None
    zone: str = ""


def endpoint(
    host: HostWorkload, specs: Iterable[WorkloadSpec]
) -> tuple[tuple[str, ...], Endpoint] | None:
    """(the namespaces it is an endpoint in, the endpoint) of one workload of the host.

    What matching Workload objects say is added to what the host knows, the first by name first.
    An address nobody gave is loopback, and loopback is reached from its own namespace only.
    """
    workload = host.workload
    matching = sorted(
        (spec for spec in specs if matches(spec, workload)), key=lambda s: (s.namespace, s.name)
    )
    labels: dict[str, str] = dict(workload.labels)
    ports: dict[str, int] = {}
    address = next((spec.address for spec in matching if spec.address is not None), host.address)
    for spec in reversed(matching):
        labels.update(spec.labels)
        ports.update(spec.ports)
    address = address or LOOPBACK
    if not labels:
        return None
    namespaces = tuple(dict.fromkeys([workload.namespace, *(spec.namespace for spec in matching)]))
    return namespaces, Endpoint(
        address=address,
        ports=ports,
        node=workload.node,
        zone=host.zone,
        netns=host.netns if address.is_loopback else ANY_NETNS,
        draining=workload.gone_ns is not None,
        labels=labels,
        target=f"workload {workload.title}",
    )


def matches(spec: WorkloadSpec, workload: Workload) -> bool:
    """Whether a Workload object is about this workload: all that it names must be so."""
    if not spec.match:
        return False
    for kind, value in spec.match.items():
        match kind:
            case "exe":
                agrees = workload.exe == value or workload.exe.rpartition("/")[2] == value
            case "cgroup":
                agrees = workload.cgroup == value
            case _:
                agrees = workload.kind == kind and value in (
                    workload.name,
                    workload.name.removesuffix(".service"),
                    f"{workload.name}.service",
                )
        if not agrees:
            return False
    return True


def select(
    services: Iterable[Service],
    hosts: Sequence[HostWorkload],
    specs: Sequence[WorkloadSpec],
    before: Mapping[ServiceName, Selected] | None = None,
) -> dict[ServiceName, Selected]:
    """What the selector of each service picks, services that pick nobody left out.

    An answer equal to that of `before` is the same object, so that nothing is compiled anew for it.
    """
    index: dict[tuple[str, str, str], list[tuple[int, Endpoint]]] = {}
    for order, host in enumerate(hosts):
        made = endpoint(host, specs)
        if made is None:
            continue
        namespaces, one = made
        for namespace in namespaces:
            for label in one.labels.items():
                index.setdefault((namespace, *label), []).append((order, one))
    result: dict[ServiceName, Selected] = {}
    for service in services:
        picked = _picked(service, index)
        if picked.endpoints:
            was = before.get(service.name) if before else None
            result[service.name] = was if was is not None and was == picked else picked
    return result


def _picked(
    service: Service, index: Mapping[tuple[str, str, str], list[tuple[int, Endpoint]]]
) -> Selected:
    """From the rarest of its labels on. Two processes of one workload are one endpoint."""
    if not service.selector:
        return NOBODY
    namespace = service.name.namespace
    wanted = service.selector.items()
    rarest = min((index.get((namespace, *label), []) for label in wanted), key=len)
    found = dict[tuple[object, ...], Endpoint]()
    for _, one in sorted(rarest, key=lambda entry: entry[0]):
        if wanted <= one.labels.items():
            key = (one.address, one.netns, tuple(sorted(one.ports.items())))
            if key not in found or (found[key].draining and not one.draining):
                found[key] = one
    return Selected(tuple(found.values()))
