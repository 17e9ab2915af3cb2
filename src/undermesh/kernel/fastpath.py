# SPDX-License-Identifier: Apache-2.0
"""The fast path from outside: its switch, what lies between joined sockets, and how they part.

A socket that leaves the map loses what is queued for it, and the sender of a message that is on its
way gets EPIPE. So first nothing is redirected any more (the switch), and then a socket leaves when
its queue is empty and its peer is in no call of send or recv, which cannot change again. What does
not get there in time stays as it is, by TCP from then on: its program holds the maps until the
connection ends.
"""

import os
import time
from pathlib import Path

import numpy as np

from undermesh.kernel import existing, iterators, libbpf
from undermesh.kernel.libbpf import lib
from undermesh.kernel.maps import Map

SWITCH = "um_fastpath"
JOINED = "um_joined"
QUEUES = "fastpath_queues"

END = np.dtype(
    [
        ("key", [("netns", "<u8"), ("cookie", "<u8")]),
        ("peer", [("netns", "<u8"), ("cookie", "<u8")]),
        ("cgroup_id", "<u8"),
        ("bytes", "<u8"),
        ("owner", "<u4"),
        ("pid", "<u4"),
        ("queued", "<u4"),
        ("users", "<u4"),
        ("client", "u1"),
        ("pad", "u1", (7,)),
    ]
)
"""`struct um_joined_end`, for when no object is open to ask."""

_PAUSE_S = 0.002
_WITHIN_S = 1.0


def turn(switch: Map, *, off: bool) -> None:
    """Throws the switch: what sockets send from the next message on."""
    value = np.zeros(1, switch.spec.value)
    value["off"] = off
    switch.insert(0, value)


def ends(link_fd: int) -> np.ndarray:
    """`um_joined_end` records of every joined socket, through the pinned iterator's link."""
    return iterators.records(link_fd=link_fd, name=QUEUES, record=END)


def drain(*, switch: Map, joined: Map, link_fd: int, within: float = _WITHIN_S) -> int:
    """Nothing is redirected when this returns; how many sockets are still joined.

    `within` is in seconds.
    """
    turn(switch, off=True)
    until = time.monotonic() + within
    while True:
        found = ends(link_fd)
        leaving = _may_leave(found)
        joined.delete(np.ascontiguousarray(found["key"][leaving]).view(joined.spec.key))
        left = int(len(found) - leaving.sum())
        if not left or time.monotonic() > until:
            return left
        time.sleep(_PAUSE_S)


def drain_pinned(root: Path, *, within: float = _WITHIN_S) -> int:
    """The same for whatever an instance has pinned; how many sockets are still joined."""
    left = 0
    for version in sorted(root.glob("v*")):
        switch = _open(version / "maps" / SWITCH)
        joined = _open(version / "maps" / JOINED)
        link = _open(version / "links" / QUEUES)
        try:
            if min(switch, joined, link) >= 0:
                left += _drain_opened(os.dup(switch), os.dup(joined), link, within)
        finally:
            for fd in (switch, joined, link):
                libbpf.close(fd)
    return left


def _drain_opened(switch: int, joined: int, link: int, within: float) -> int:
    with (
        existing.open_map(switch, name=SWITCH) as plain,
        existing.open_map(joined, name=JOINED) as sockets,
    ):
        return drain(switch=plain, joined=sockets, link_fd=link, within=within)


def _may_leave(found: np.ndarray) -> np.ndarray:
    """Which sockets can leave: nothing is queued, and nobody may be about to queue something."""
    busy = {key.tobytes() for key in found["key"][found["users"] > 1]}
    fed = np.array([peer.tobytes() in busy for peer in found["peer"]], bool)
    leaving: np.ndarray = (found["queued"] == 0) & ~fed
    return leaving


def _open(path: Path) -> int:
    return int(lib().bpf_obj_get(os.fsencode(path)))
