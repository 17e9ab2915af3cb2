# SPDX-License-Identifier: Apache-2.0
"""What container runtimes call what they run, as one immutable snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from undermesh.model.workload import NO_LABELS


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerName:
    """A container as its runtime calls it.

    `pod` is the uid of the Kubernetes pod it belongs to and `pod_name` that pod's name, where the
    runtime says so.
    """

    name: str
    namespace: str = "default"
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    runtime: str = ""
    pod: str = ""
    pod_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodName:
    """A Kubernetes pod."""

    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class RuntimeNames:
    """Container id (64 hex digits) → name, and pod uid → name."""

    containers: Mapping[str, ContainerName]
    pods: Mapping[str, PodName]


NO_RUNTIMES = RuntimeNames(MappingProxyType({}), MappingProxyType({}))
