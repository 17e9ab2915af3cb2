# SPDX-License-Identifier: Apache-2.0
"""Label sets and their numbers. Pure: numbers are kept by whoever stands behind `Allocator`."""

from undermesh.identity.labels import canonical, labels_of, parse_canonical
from undermesh.identity.numbers import (
    CLUSTER_MAX,
    FIRST,
    HOST,
    LOCAL_FIRST,
    RESERVED,
    UNKNOWN,
    WORLD,
    Allocator,
    Identities,
    IdentitiesExhausted,
    Scope,
    scope_of,
)

__all__ = [
    "CLUSTER_MAX",
    "FIRST",
    "HOST",
    "LOCAL_FIRST",
    "RESERVED",
    "UNKNOWN",
    "WORLD",
    "Allocator",
    "Identities",
    "IdentitiesExhausted",
    "Scope",
    "canonical",
    "labels_of",
    "parse_canonical",
    "scope_of",
]
