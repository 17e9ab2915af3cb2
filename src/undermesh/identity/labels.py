# SPDX-License-Identifier: Apache-2.0
"""Which labels make an identity, and the one text that stands for a label set."""

import json
from collections.abc import Mapping

from undermesh.model.workload import Workload

# Labels that change with every start, build or replica: with them each would be someone else.
_NOISE = frozenset(
    {
        "controller-revision-hash",
        "pod-template-generation",
        "pod-template-hash",
        "pod-uid",
        "statefulset.kubernetes.io/pod-name",
    }
)
_NOISE_PREFIXES = (
    "annotation.",
    "com.docker.compose.config-hash",
    "com.docker.compose.container-number",
    "com.docker.compose.image",
    "com.docker.compose.oneoff",
    "com.docker.compose.replace",
    "com.docker.compose.version",
    "desktop.docker.io/",
    "io.buildah.",
    "io.kubernetes.container.",
    "io.kubernetes.docker.",
    "io.kubernetes.pod.uid",
    "io.kubernetes.sandbox.",
    "org.label-schema.",
    "org.opencontainers.image.",
)


def labels_of(workload: Workload) -> Mapping[str, str]:
    """The labels a workload is identified by: namespace, name, kind and the stable ones it has.

    A label of the workload cannot stand in for the three: they are under `undermesh.io/`.
    """
    labels = {
        key: value
        for key, value in workload.labels.items()
        if key not in _NOISE
        and not key.startswith(_NOISE_PREFIXES)
        and not key.startswith("undermesh.io/")
    }
    labels["undermesh.io/namespace"] = workload.namespace
    labels["undermesh.io/name"] = workload.name
    labels["undermesh.io/kind"] = workload.kind
    return labels


def canonical(labels: Mapping[str, str]) -> str:
    """The text that equal label sets share and others do not: JSON, sorted by key (RFC 8259)."""
    return json.dumps(dict(sorted(labels.items())), separators=(",", ":"), ensure_ascii=True)


def parse_canonical(text: str) -> Mapping[str, str]:
    """The label set behind a canonical text. Raises ValueError."""
    labels = json.loads(text)
    if not isinstance(labels, dict):
        raise ValueError("a label set is a JSON object")
    if not all(isinstance(value, str) for value in labels.values()):
        raise ValueError("the value of a label is text")
    return labels
