# SPDX-License-Identifier: Apache-2.0
"""A TCP in user space behind a TUN device: it sends segments in any order a network might."""

import contextlib
import fcntl
import os
import select
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.packet import Packet

from tests.netns.hosts import Host, in_netns, run

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
HERE: Mapping[int, str] = {socket.AF_INET: "10.77.0.1", socket.AF_INET6: "fd77::1"}
"""The host's own addresses on the device."""

THERE: Mapping[int, str] = {socket.AF_INET: "10.77.0.2", socket.AF_INET6: "fd77::2"}
"""Addresses of everybody behind it."""


class Wire:
    """The device: packets in, packets out."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def send(self, packet: Packet) -> None:
        """Gives a packet to the host."""
        os.write(self._fd, bytes(packet))

    def receive(self, *, family: int, port: int, within: float = 5.0) -> Any:
        """The host's next TCP segment to our `port`."""
        while select.select([self._fd], [], [], within)[0]:
            raw = os.read(self._fd, 65536)
            packet = IP(raw) if raw[0] >> 4 == 4 else IPv6(raw)
            same = (raw[0] >> 4 == 4) == (family == socket.AF_INET)
            if same and TCP in packet and packet[TCP].dport == port:
                return packet
        raise AssertionError(f"nothing came for port {port}")


@contextlib.contextmanager
def wired(host: Host) -> Iterator[Wire]:
    """A TUN device in the host's namespace."""
    with in_netns(host.netns):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
    try:
        ip = ("ip", "-n", host.netns)
        run(*ip, "address", "add", f"{HERE[socket.AF_INET]}/24", "dev", "wire")
        run(*ip, "address", "add", f"{HERE[socket.AF_INET6]}/64", "dev", "wire", "nodad")
        run(*ip, "link", "set", "wire", "up")
        yield Wire(fd)
    finally:
        os.close(fd)


class Peer:
    """One connection of ours with a socket of the host. Offsets count our payload bytes from 0."""

    def __init__(self, wire: Wire, *, family: int, ours: int, theirs: int, isn: int) -> None:
        self._wire = wire
        self._family = family
        self._ports = {"sport": ours, "dport": theirs}
        self._isn = isn
        self.acknowledged = 0  # next sequence number we expect

    @classmethod
    def connect(cls, wire: Wire, door: socket.socket, *, port: int, isn: int) -> "Peer":
        """Connects from `port` to a listening socket."""
        theirs = door.getsockname()[1]
        peer = cls(wire, family=door.family, ours=port, theirs=theirs, isn=isn)
        peer._send("S", isn, b"")
        peer._expect_handshake("SA")
        peer._send("A", isn + 1, b"")
        return peer

    @classmethod
    def accept(cls, wire: Wire, *, family: int, port: int, isn: int) -> "Peer":
        """Answers the SYN a socket of the host has sent to `port`."""
        syn = wire.receive(family=family, port=port)[TCP]
        assert syn.flags == "S"
        peer = cls(wire, family=family, ours=port, theirs=syn.sport, isn=isn)
        peer.acknowledged = (syn.seq + 1) & 0xFFFFFFFF
        peer._send("SA", isn, b"")
        assert wire.receive(family=family, port=port)[TCP].flags == "A"
        return peer

    def say(self, offset: int, payload: bytes, **options: object) -> None:
        """Sends bytes `offset` and on, whatever was sent before. Options as for `_send`."""
        self._send("PA", self._isn + 1 + offset, payload, **options)

    def hear(self, size: int) -> bytes:
        """The host's next `size` bytes, acknowledged."""
        got = self.hear_silently(size)
        self.acknowledge(size)
        return got

    def hear_silently(self, size: int) -> bytes:
        """The same, but the host does not know that they arrived."""
        got = b""
        while len(got) < size:
            segment = self._wire.receive(family=self._family, port=self._ports["sport"])[TCP]
            begin = (segment.seq - self.acknowledged) & 0xFFFFFFFF
            if begin == len(got):
                got += bytes(segment.payload)
        assert len(got) == size
        return got

    def acknowledge(self, size: int) -> None:
        """Tells the host that `size` more bytes arrived."""
        self.acknowledged = (self.acknowledged + size) & 0xFFFFFFFF
        self._send("A", self._isn + 1 + self.said, b"")

    def reset(self) -> None:
        """Ends the connection."""
        self._send("R", self._isn + 1 + self.said, b"")

    said = 0
    """How far we are, for acknowledgements and resets."""

    def _expect_handshake(self, flags: str) -> None:
        answer = self._wire.receive(family=self._family, port=self._ports["sport"])[TCP]
        assert answer.flags == flags
        self.acknowledged = (answer.seq + 1) & 0xFFFFFFFF

    def _send(self, flags: str, seq: int, payload: bytes, *, extended: bool = False) -> None:
        """`extended`: with IPv6 extension headers."""
        ends = {"src": THERE[self._family], "dst": HERE[self._family]}
        network: Packet = IP(**ends) if self._family == socket.AF_INET else IPv6(**ends)
        if extended:
            network = network / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt()
        segment = TCP(
            flags=flags,
            seq=seq & 0xFFFFFFFF,
            ack=self.acknowledged,
            window=65535,
            **self._ports,
        )
        self._wire.send(network / segment / payload)
