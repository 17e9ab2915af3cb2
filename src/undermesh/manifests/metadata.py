# SPDX-License-Identifier: Apache-2.0
"""`metadata` as the kinds of Kubernetes and our own write it."""

from typing import Any

import msgspec

from undermesh.manifests.scalars import LabelName, Subdomain


class Wire(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A mapping of a manifest: camelCase, nothing in it but what is declared."""


class Metadata(Wire):
    """ObjectMeta. What a cluster keeps for itself is read and has no meaning here."""

    name: Subdomain
    namespace: LabelName = "default"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    generate_name: str = ""
    self_link: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    owner_references: list[dict[str, Any]] = []
    finalizers: list[str] = []
    managed_fields: list[dict[str, Any]] = []
    cluster_name: str = ""


class Manifest(Wire):
    """What every document of an `apiVersion` begins with."""

    api_version: str
    kind: str
    metadata: Metadata
