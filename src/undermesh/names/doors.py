# SPDX-License-Identifier: Apache-2.0
"""The responder's sockets in one network namespace. Everything here is called inside of it.

Bound to `lo`, so that nobody outside the host can ask: an open resolver is a weapon. In a namespace
whose `lo` is down nothing can be answered, for no loopback address is reached.
"""

import contextlib
import fcntl
import socket
import struct
from dataclasses import dataclass, field

IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 1
_BACKLOG = 128
_BUFFER = 1 << 20


@dataclass(slots=True, kw_only=True)
class Doors:
    """Sockets queries arrive at. `six` has a (UDP, TCP) pair per IPv6 resolver, in slot order."""

    udp: socket.socket
    tcp: socket.socket
    six: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)

    def loopback(self) -> bool:
        """Whether `lo` is up. Asked of the socket, so from any namespace."""
        request = struct.pack("16sH22x", b"lo", 0)
        try:
            answer = fcntl.ioctl(self.udp, _SIOCGIFFLAGS, request)
        except OSError:
            return False
        return bool(struct.unpack_from("H", answer, 16)[0] & _IFF_UP)

    def close(self) -> None:
        """Closes all of them."""
        for one in (self.udp, self.tcp, *(s for pair in self.six for s in pair)):
            one.close()


def open_doors(port: int) -> Doors:
    """The sockets for IPv4 resolvers. Raises OSError: somebody has the port."""
    with contextlib.ExitStack() as undo:
        udp = undo.enter_context(_bound(socket.AF_INET, socket.SOCK_DGRAM, "0.0.0.0", port))
        udp.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        tcp = undo.enter_context(_bound(socket.AF_INET, socket.SOCK_STREAM, "0.0.0.0", port))
        undo.pop_all()
    return Doors(udp=udp, tcp=tcp)


def open_six(port: int) -> tuple[socket.socket, socket.socket]:
    """The pair for one IPv6 resolver. Raises OSError: no IPv6, `lo` down, or the port taken."""
    with contextlib.ExitStack() as undo:
        udp = undo.enter_context(_bound(socket.AF_INET6, socket.SOCK_DGRAM, "::1", port))
        tcp = undo.enter_context(_bound(socket.AF_INET6, socket.SOCK_STREAM, "::1", port))
        undo.pop_all()
    return udp, tcp


def asking(family: int, kind: int, count: int = 1) -> list[socket.socket]:
    """Sockets to ask resolvers with."""
    made: list[socket.socket] = []
    try:
        for _ in range(count):
            made.append(socket.socket(family, kind))
            made[-1].setblocking(False)
    except OSError:
        if not made:
            raise
    return made


def _bound(family: int, kind: int, host: str, port: int) -> socket.socket:
    made = socket.socket(family, kind)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        made.bind((host, port))
        if kind == socket.SOCK_STREAM:
            made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made
