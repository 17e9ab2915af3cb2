# SPDX-License-Identifier: Apache-2.0
"""Services in the kernel's tables, and connections through them, joined or by TCP."""

import contextlib
import ipaddress
import itertools
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.netns.hosts import Host, new_port
from tests.netns.seeing import Seen
from undermesh.kernel import errors

FASTPATH = 4
"""UM_SERVICE_FASTPATH."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A listening socket behind a service's address."""

    host: Host
    door: socket.socket
    address: tuple[str, int]
    undo: contextlib.ExitStack

    @property
    def port(self) -> int:
        """The listener's own port: what counters go by."""
        return int(self.door.getsockname()[1])

    def pair(self, client: Host | None = None) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection from `client` (by default the same host), closed at the end."""
        near = self.undo.enter_context((client or self.host).open(self.door.family))
        near.connect(self.address)
        far = self.undo.enter_context(self.door.accept()[0])
        far.settimeout(10)
        return near, far


def mapped(address: str) -> np.ndarray:
    """16 bytes, IPv4 mapped."""
    found = ipaddress.ip_address(address)
    raw = found.packed if found.version == 6 else bytes(10) + b"\xff\xff" + found.packed
    return np.frombuffer(raw, "u1")


@contextlib.contextmanager
def served(seen: Seen, host: Host, *, at: str = "127.0.0.1", fast: bool = True) -> Iterator[Served]:
    """A service of one backend, a listener at `at` of `host`; `fast` opts in."""
    family = socket.AF_INET6 if ":" in at else socket.AF_INET
    number = next(_numbers)
    vip = (f"fd00:756d:6573:6800::{number:x}" if family == socket.AF_INET6
           else f"198.18.77.{number % 250 + 1}")  # fmt: skip
    with contextlib.ExitStack() as undo, host.open(family) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((at, new_port()))
        door.listen(128)
        key = _put(seen, number, vip, at, door.getsockname()[1], FASTPATH if fast else 0)
        try:
            yield Served(host=host, door=door, address=(vip, 80), undo=undo)
        finally:
            with contextlib.suppress(errors.KernelError):  # the test has closed the plane
                seen.plane.delete("um_services", key)


def _put(seen: Seen, number: int, vip: str, at: str, port: int, flags: int) -> np.ndarray:
    maps = seen.plane.maps
    backend = np.zeros(1, maps["um_backends"].spec.value)
    backend["address"], backend["port"], backend["flags"] = mapped(at), port, 1
    backend["service"] = number
    slot = np.zeros(1, maps["um_slots"].spec.value)
    slot["backend"] = slot["other"] = number
    service = np.zeros(1, maps["um_services"].spec.value)
    service["id"], service["flags"], service["slots_at"], service["slots"] = (
        number,
        flags,
        number,
        1,
    )
    key = np.zeros(1, maps["um_services"].spec.key)
    key["address"], key["port"], key["l4"] = mapped(vip), 80, socket.IPPROTO_TCP
    seen.plane.insert("um_backends", number, backend, exist="any")
    seen.plane.insert("um_slots", number, slot, exist="any")
    seen.plane.insert("um_services", key, service, exist="any")
    return key


def aim(seen: Seen, at: Served, address: str, port: int) -> None:
    """Another backend for the service of `at`."""
    keys, services = seen.plane.dump("um_services")
    mine = (keys["address"] == mapped(at.address[0])).all(axis=1)
    number = int(services[mine]["slots_at"][0])
    row = seen.plane.maps["um_backends"].lookup(number)
    assert row is not None
    row = row.reshape(1).copy()
    row["address"], row["port"] = mapped(address), port
    seen.plane.insert("um_backends", number, row, exist="any")


def did(seen: Seen) -> dict[str, int]:
    """What the fast path did, by counter."""
    value = seen.plane.maps["um_fast_stats"].lookup(0)
    assert value is not None
    names = value.dtype.names
    assert names is not None
    if names == ("value",):
        value, names = value["value"], value["value"].dtype.names
    return {name: int(value[name].sum()) for name in names}
