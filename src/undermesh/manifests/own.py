# SPDX-License-Identifier: Apache-2.0
"""undermesh.io/v1alpha1 `Workload` and `Priority`: what Kubernetes has no kind for."""

from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import Meta

from undermesh.manifests import scalars
from undermesh.manifests.faults import Fault, Refused, refusal, warning
from undermesh.manifests.meaning import Kind, Meaning
from undermesh.manifests.metadata import Manifest, Wire
from undermesh.manifests.scalars import (
    AddressText,
    DscpName,
    Port,
    PortName,
    Rate,
    ServiceReference,
)
from undermesh.model.objects import ObjectKey
from undermesh.model.service import Level, PrioritySpec, ServiceName, WorkloadSpec

API = "undermesh.io/v1alpha1"


class Match(Wire):
    """Which processes a workload is."""

    unit: str | None = None
    container: str | None = None
    run: str | None = None
    cgroup: str | None = None
    exe: str | None = None


class WorkloadFields(Wire):
    """`spec` of a Workload."""

    match: Match
    ports: dict[PortName, Port] = {}
    address: AddressText | None = None


class WorkloadManifest(Manifest):
    """A Workload."""

    spec: WorkloadFields


class PriorityFields(Wire):
    """`spec` of a Priority."""

    level: Level
    workloads: dict[str, str] = {}
    services: list[ServiceReference] = []
    rate: Rate | None = None
    ceiling: Rate | None = None
    dscp: Annotated[int, Meta(ge=0, le=63)] | DscpName | None = None
    congestion: str = ""
    devices: list[str] = []


class PriorityManifest(Manifest):
    """A Priority."""

    spec: PriorityFields


def workload(wire: WorkloadManifest, origin: str) -> Meaning:
    """What a Workload means. Its labels are those of its metadata, as a pod's are."""
    meta, spec = wire.metadata, wire.spec
    match: dict[Literal["unit", "container", "run", "cgroup", "exe"], str] = {}
    for kind in ("unit", "container", "run", "cgroup", "exe"):
        value = getattr(spec.match, kind)
        if value is not None:
            match[kind] = value
    if not all(match.values()) or not match:
        allowed = "one or more of unit, container, run, cgroup, exe; all that are given must fit"
        raise refusal(("spec", "match"), "names no processes", allowed)
    made = WorkloadSpec(
        namespace=meta.namespace,
        name=meta.name,
        match=MappingProxyType(match),
        labels=MappingProxyType(meta.labels),
        ports=MappingProxyType({scalars.port_name(n): port for n, port in spec.ports.items()}),
        address=scalars.address(spec.address) if spec.address else None,
        origin=origin,
    )
    return Meaning(key=ObjectKey("Workload", meta.namespace, meta.name), specs=(made,))


def priority(wire: PriorityManifest, origin: str) -> Meaning:
    """What a Priority means."""
    meta, spec = wire.metadata, wire.spec
    made = PrioritySpec(
        namespace=meta.namespace,
        name=meta.name,
        level=spec.level,
        workloads=MappingProxyType(spec.workloads),
        services=tuple(reference(text, meta.namespace) for text in spec.services),
        rate=scalars.rate(spec.rate) if spec.rate else 0,
        ceiling=scalars.rate(spec.ceiling) if spec.ceiling else 0,
        dscp=scalars.dscp(spec.dscp) if isinstance(spec.dscp, str) else spec.dscp,
        congestion=spec.congestion,
        devices=tuple(spec.devices),
        origin=origin,
    )
    wrong = tuple(_priority_faults(made))
    if any(fault.severity == "error" for fault in wrong):
        raise Refused(wrong)
    key = ObjectKey("Priority", meta.namespace, meta.name)
    return Meaning(key=key, specs=(made,), notes=wrong)


def _priority_faults(made: PrioritySpec) -> list[Fault]:
    found = []
    if not made.workloads and not made.services:
        found.append(
            Fault(
                path=("spec",),
                message="says of nothing how important it is",
                allowed="workloads (labels), services (names), or both",
            )
        )
    if made.ceiling and made.ceiling < made.rate:
        found.append(
            Fault(
                path=("spec", "ceiling"),
                message=f"is below the rate of {made.rate} bit/s",
                allowed="the rate or more",
            )
        )
    if (made.rate or made.ceiling) and not made.devices:
        found.append(
            warning(
                ("spec", "devices"),
                "names no device, so that the rate is held nowhere",
                "the devices whose queue is ours to schedule, such as [eth0]",
            )
        )
    return found


def reference(text: str, namespace: str) -> ServiceName:
    """`name` (of this namespace) or `namespace/name`."""
    scalars.service_reference(text)
    head, _, tail = text.rpartition("/")
    return ServiceName(head or namespace, tail)


KINDS = (
    Kind(API, "Workload", WorkloadManifest, workload),
    Kind(API, "Priority", PriorityManifest, priority),
)
