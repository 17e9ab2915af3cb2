# SPDX-License-Identifier: Apache-2.0
"""Objects of the desired state: what one manifest was read into, and what is wrong with one."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from undermesh.model.service import EndpointSet, PrioritySpec, Service, WorkloadSpec

Spec: TypeAlias = Service | EndpointSet | WorkloadSpec | PrioritySpec

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """Which object: "Service/shop/cart".

    `kind` is "Service", "Endpoints", "EndpointSlice" (Kubernetes), "Service.undermesh.io",
    "Workload", "Priority" (ours) or "ConsulService".
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """One manifest as it was understood.

    `specs` is what it means; `document` the manifest as it was given, as canonical JSON (sorted
    keys, no spaces), which can be read again; `origin` is "file:line" of where it was said.
    """

    key: ObjectKey
    specs: tuple[Spec, ...]
    document: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One thing wrong with a manifest, where it stands and what would be right.

    `line` and `column` count from 1. `field` is the path within the document
    ("spec.ports[0].port"), empty for the whole of it. `allowed` may be empty. An error keeps
    everything given together with it from being applied; a warning keeps nothing.
    """

    file: str
    line: int
    column: int
    field: str
    message: str
    allowed: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: "
        if self.field:
            text += f"{self.field}: "
        text += self.message
        return f"{text}; {self.allowed}" if self.allowed else text
