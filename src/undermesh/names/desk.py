# SPDX-License-Identifier: Apache-2.0
"""What all stations share: the names, the limits, the counts."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from undermesh.model.names import NameEntry
from undermesh.names.counts import Counts
from undermesh.names.places import Capture
from undermesh.names.quick import Quick
from undermesh.names.zone import Zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be under way at once, over all namespaces, and for how long (seconds)."""

    flows: int = 1024
    """UDP conversations with resolvers; each takes a descriptor."""
    connections: int = 256
    """TCP connections of askers; each may take two descriptors."""
    answer_within: float = 5.0
    """A resolver's answer; glibc, too, gives up after five seconds."""
    idle: float = 10.0
    """A TCP connection without a query (RFC 7766 6.2.3)."""
    opaque: float = 60.0
    """A UDP conversation on port 53 that is no DNS."""


@dataclass(slots=True, kw_only=True)
class Desk:
    """One for all stations. `names` is replaced whole, from any thread."""

    capture: Capture
    limits: Limits
    counts: Counts = field(default_factory=Counts)
    names: tuple[Zone, Quick] = field(default_factory=lambda: _names(()))
    flows: int = 0
    connections: int = 0

    def set_names(self, entries: Iterable[NameEntry]) -> None:
        """From the next query on these are answered."""
        self.names = _names(entries)


def _names(entries: Iterable[NameEntry]) -> tuple[Zone, Quick]:
    zone = Zone(entries)
    return zone, Quick(zone)
