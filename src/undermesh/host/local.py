# SPDX-License-Identifier: Apache-2.0
"""The host's own addresses, so that a peer which is this host is called so.

rtnetlink(7), RTM_GETADDR: one dump of what is assigned, whatever the size of the routing table.
"""

import socket
import struct

_NLMSG = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_IFADDRMSG = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface
_RTATTR = struct.Struct("=HH")  # length, type
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWADDR, _RTM_GETADDR = 20, 22
_NLM_F_REQUEST_DUMP = 0x301
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_MAPPED = b"\0" * 10 + b"\xff\xff"
_RECEIVE_LIMIT = 1 << 18
_DUMP_LIMIT = 1 << 14
_IPVS = "kube-ipvs0"


class LocalAddresses:
    """Addresses assigned to this network namespace's interfaces.

    Those of kube-ipvs0 are left out: they are Kubernetes service addresses, which lead elsewhere.
    """

    def __init__(self) -> None:
        self._known: frozenset[bytes] = frozenset()

    def refresh(self) -> frozenset[bytes]:
        """Reads them: 16 bytes each, IPv4 v4-mapped (RFC 4291 2.5.5.2). Raises OSError."""
        self._known = self.read()
        return self._known

    def read(self) -> frozenset[bytes]:
        """As `refresh`, without remembering them."""
        ipvs = {index for index, name in socket.if_nameindex() if name == _IPVS}
        found: set[bytes] = set()
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
            netlink.settimeout(2.0)
            netlink.bind((0, 0))
            body = _IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
            size = _NLMSG.size + len(body)
            netlink.send(_NLMSG.pack(size, _RTM_GETADDR, _NLM_F_REQUEST_DUMP, 1, 0) + body)
            for _ in range(_DUMP_LIMIT):
                addresses, done = parse_addresses(netlink.recv(_RECEIVE_LIMIT))
                found.update(address for index, address in addresses if index not in ipvs)
                if done:
                    break
        return frozenset(found)

    def is_local(self, address: bytes) -> bool:
        """Whether 16 bytes of address are this host: assigned to it when last read, or loopback."""
        return is_loopback(address) or address in self._known


def is_loopback(address: bytes) -> bool:
    """127.0.0.0/8 and ::1, as 16 bytes."""
    if address.startswith(_MAPPED):
        return address[12] == 127
    return address == b"\0" * 15 + b"\1"


def parse_addresses(datagram: bytes) -> tuple[list[tuple[int, bytes]], bool]:
    """(interface, 16-byte address) of each RTM_NEWADDR in a datagram, and whether it was the last.

    Raises OSError where the kernel answered with an error.
    """
    found: list[tuple[int, bytes]] = []
    at = 0
    while at + _NLMSG.size <= len(datagram):
        length, kind, *_ = _NLMSG.unpack_from(datagram, at)
        if length < _NLMSG.size or at + length > len(datagram):
            break
        if kind == _NLMSG_DONE:
            return found, True
        if kind == _NLMSG_ERROR:
            code = -int.from_bytes(datagram[at + 16 : at + 20], "little", signed=True)
            if code:
                raise OSError(code, "asking the kernel for the host's addresses (RTM_GETADDR)")
        if kind == _RTM_NEWADDR and length >= _NLMSG.size + _IFADDRMSG.size:
            message = datagram[at + _NLMSG.size : at + length]
            interface: int = _IFADDRMSG.unpack_from(message)[4]
            if (address := _address(message[_IFADDRMSG.size :])) is not None:
                found.append((interface, address))
        at += (length + 3) & ~3
    return found, False


def _address(attributes: bytes) -> bytes | None:
    """IFA_LOCAL where there is one (on point-to-point links IFA_ADDRESS is the other side)."""
    by_kind: dict[int, bytes] = {}
    at = 0
    while at + _RTATTR.size <= len(attributes):
        length, kind = _RTATTR.unpack_from(attributes, at)
        if length < _RTATTR.size:
            break
        by_kind[kind] = attributes[at + _RTATTR.size : at + length]
        at += (length + 3) & ~3
    raw = by_kind.get(_IFA_LOCAL) or by_kind.get(_IFA_ADDRESS) or b""
    if len(raw) == 4:
        return _MAPPED + raw
    return raw if len(raw) == 16 else None
