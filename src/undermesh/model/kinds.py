# SPDX-License-Identifier: Apache-2.0
"""Kinds of objects by the names people type: `svc`, `services`, `ep`, as kubectl has them."""

import difflib
from collections.abc import Mapping
from types import MappingProxyType

KINDS: tuple[str, ...] = (
    "Service",
    "Service.undermesh.io",
    "Endpoints",
    "EndpointSlice",
    "ConsulService",
    "Workload",
    "Priority",
)
"""Every kind there is, as ObjectKey has it."""

_SERVICES = ("Service", "Service.undermesh.io")

NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "all": KINDS,
        "service": _SERVICES,
        "services": _SERVICES,
        "svc": _SERVICES,
        "service.undermesh.io": ("Service.undermesh.io",),
        "endpoints": ("Endpoints",),
        "ep": ("Endpoints",),
        "endpointslice": ("EndpointSlice",),
        "endpointslices": ("EndpointSlice",),
        "eps": ("EndpointSlice",),
        "consulservice": ("ConsulService",),
        "consulservices": ("ConsulService",),
        "consul": ("ConsulService",),
        "workload": ("Workload",),
        "workloads": ("Workload",),
        "wl": ("Workload",),
        "priority": ("Priority",),
        "priorities": ("Priority",),
        "prio": ("Priority",),
    }
)
"""What is typed, in lower case → the kinds it means: a service may come in either dialect."""


class UnknownKind(ValueError):
    """No kind has this name. `near` are names like it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.near = tuple(difflib.get_close_matches(name.lower(), NAMES, n=2, cutoff=0.6))
        advice = f"did you mean {' or '.join(self.near)}?" if self.near else ALLOWED
        super().__init__(f"there is no kind {name[:80]!r}; {advice}")


ALLOWED = f"kinds are {', '.join(sorted(NAMES))}"


def kinds_named(text: str) -> tuple[str, ...]:
    """The kinds that "svc", "Service" or "svc,ep" mean. Raises UnknownKind."""
    found: dict[str, None] = {}
    for name in text.split(","):
        try:
            found.update(dict.fromkeys(NAMES[name.strip().lower()]))
        except KeyError:
            raise UnknownKind(name.strip()) from None
    return tuple(found)
