# SPDX-License-Identifier: Apache-2.0
"""Network devices: their root qdisc and how fast they say they are."""

import ctypes
import fcntl
import socket
import struct
from dataclasses import dataclass
from typing import Any

TC_H_ROOT = 0xFFFFFFFF

_SIOCETHTOOL = 0x8946
_ETHTOOL_GSET = 1
_SPEED_UNKNOWN = 0xFFFFFFFF

_BACKED = frozenset({"", "vlan", "macvlan", "bond", "team"})
"""Kinds of device whose speed is that of hardware. Others make one up: veth says 10 Gbit/s, tun 10
Mbit/s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A device and the qdisc at its root. Handle 0 is the kernel's own; `kind` is "veth", "bridge";
    empty for hardware. `burst` is the most that TCP hands to it at once."""

    name: str
    index: int
    kind: str
    root: int
    root_kind: str
    burst: int


def links(ip: Any) -> dict[str, Link]:
    """The devices of the namespace an IPRoute is in, by name."""
    roots = {
        int(q["index"]): (int(q["handle"]), str(q.get_attr("TCA_KIND")))
        for q in ip.get_qdiscs()
        if q["parent"] == TC_H_ROOT
    }
    found = {}
    for one in ip.get_links():
        index, name = int(one["index"]), str(one.get_attr("IFLA_IFNAME"))
        info = one.get_attr("IFLA_LINKINFO")
        kind = "" if info is None else str(info.get_attr("IFLA_INFO_KIND") or "")
        root, root_kind = roots.get(index, (0, ""))
        burst = int(one.get_attr("IFLA_GSO_MAX_SIZE") or 0)
        found[name] = Link(
            name=name, index=index, kind=kind, root=root, root_kind=root_kind, burst=burst
        )
    return found


def speed(link: Link) -> int:
    """Bits per second, where the device has a speed; else 0. In the calling thread's namespace.

    (struct ethtool_cmd of <linux/ethtool.h>: `speed` at 12, `speed_hi` at 28, in Mbit/s.)
    """
    if link.kind not in _BACKED:
        return 0
    answer = ctypes.create_string_buffer(struct.pack("=I40x", _ETHTOOL_GSET), 44)
    request = struct.pack("16sP", link.name.encode(), ctypes.addressof(answer))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        try:
            fcntl.ioctl(door, _SIOCETHTOOL, request)
        except OSError:  # it does not know ethtool
            return 0
    low, high = struct.unpack_from("=H14xH", answer, 12)
    megabits = high << 16 | low
    return 0 if megabits in (_SPEED_UNKNOWN, 0xFFFF) else megabits * 1_000_000
