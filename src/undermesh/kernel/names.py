# SPDX-License-Identifier: Apache-2.0
"""The maps of DNS capture: where a responder lives, and which resolver stands behind which slot."""

import time
from collections.abc import Collection, Mapping
from ipaddress import IPv6Address
from typing import Final

import numpy as np

from undermesh.kernel.plane import Plane
from undermesh.model.service import Address, Netns

_SERVERS, _SLOTS, _USED = "um_name_servers", "um_resolvers", "um_dns_used"
_STATE, _EXEMPT, _TAGS = "um_names_state", "um_names_exempt", "um_name_tags"


class NameCapture:
    """DNS capture of a running plane. Safe in one thread at a time.

    `missing` names programs that do not run here, and why. With one missing nothing is captured: a
    query taken without its answer being shown as the resolver's would harm who asked.
    """

    def __init__(self, plane: Plane) -> None:
        self._maps = plane.maps
        self.missing: Final[Mapping[str, str]] = {
            program.name: program.why
            for program in plane.program_info()
            if program.name.startswith("names_") and not program.attached
        }
        numbers, kinds = plane.enum("um_names"), plane.enum("um_name_tag_kind")
        state = self._maps[_STATE].lookup(0)
        self.port = int(state["port"] if state is not None else 0) or numbers["UM_NAMES_PORT"]
        self.slots: Final = numbers["UM_NAMES_SLOTS"]
        self.slots6: Final = numbers["UM_NAMES_SLOTS6"]
        self._answers, self._asks = kinds["UM_NAME_TAG_ANSWERS"], kinds["UM_NAME_TAG_ASKS"]
        self._known: dict[int, Address] = {}

    def use(self, port: int) -> None:
        """Queries arrive at this port from the next `publish` on, and IPv6 ones at those after it.

        Only while nothing is published: sockets of askers are connected to the port that was.
        """
        self.port = port

    def resolver(self, slot: int) -> Address | None:
        """The resolver of a slot; None when it was never given. A slot never changes hands."""
        known = self._known.get(slot)
        if known is not None:
            return known
        entry = self._maps[_SLOTS].lookup(slot) if slot < self.slots + self.slots6 else None
        if entry is None or not int(entry["first_ns"]):
            return None
        address = IPv6Address(entry["address"].tobytes())
        found = self._known[slot] = address.ipv4_mapped or address
        return found

    def used(self) -> tuple[int, int]:
        """How many IPv4 and IPv6 resolvers have been asked so far."""
        four, six = (self._maps[_USED].lookup(family) for family in (0, 1))
        return int(four or 0), int(six or 0)

    def used6(self) -> int:
        """How many IPv6 resolvers have been asked so far."""
        return self.used()[1]

    def publish(self, servers: Mapping[Netns, int]) -> None:
        """Makes `servers` (namespace → ports on ::1) all there is, and says they are well.

        Raises MapFull when there are more namespaces than room: those that fit are served.
        """
        if self.missing:
            return
        state = np.zeros(1, self._maps[_STATE].value_dtype)
        state["beat_ns"], state["port"] = time.monotonic_ns(), self.port
        self._maps[_STATE].insert(0, state)
        table = self._maps[_SERVERS]
        keys, values = table.dump()
        held = dict(zip(keys.tolist(), values["ports6"].tolist(), strict=True))
        if gone := [netns for netns in held if netns not in servers]:
            table.delete(np.array(gone, "u8"))
        wanted = [(n, ports) for n, ports in servers.items() if held.get(n) != ports]
        if wanted:
            entries = np.zeros(len(wanted), table.value_dtype)
            entries["ports6"] = [ports for _, ports in wanted]
            table.insert(np.array([netns for netns, _ in wanted], "u8"), entries)

    def published(self) -> Mapping[Netns, int]:
        """What the kernel has: a responder that died is gone from it."""
        keys, values = self._maps[_SERVERS].dump()
        return dict(zip(map(Netns, keys.tolist()), values["ports6"].tolist(), strict=True))

    def exempt(self, cgroups: Collection[int]) -> None:
        """Queries from these cgroups (ids) and no others are left alone: resolvers themselves."""
        table = self._maps[_EXEMPT]
        held = set(table.dump()[0].tolist())
        if gone := held.difference(cgroups):
            table.delete(np.array(sorted(gone), "u8"))
        if fresh := set(cgroups).difference(held):
            table.insert(np.array(sorted(fresh), "u8"), 1)

    def tag_answering(self, descriptor: int, netns: Netns) -> None:
        """This socket answers in `netns`: when its last descriptor goes, capture ends there."""
        self._tag(descriptor, self._answers, netns)

    def tag_asking(self, descriptor: int) -> None:
        """This socket asks resolvers: what it sends is never captured."""
        self._tag(descriptor, self._asks, Netns(0))

    def _tag(self, descriptor: int, kind: int, netns: Netns) -> None:
        # The key of socket storage, from user space, is a descriptor of the socket.
        tag = np.zeros(1, self._maps[_TAGS].value_dtype)
        tag["kind"], tag["netns"] = kind, netns
        self._maps[_TAGS].insert(descriptor, tag)
