# SPDX-License-Identifier: Apache-2.0
"""IP, TCP and UDP headers as they come at a cgroup hook; packets by scapy."""

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from undermesh.kernel import testrun
from undermesh.kernel.loaded import Loaded

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = {"src": "192.0.2.1", "dst": "198.51.100.2"}
V6 = {"src": "2001:db8::1", "dst": "2001:db8::2"}
SEGMENT = TCP(sport=1, dport=2, seq=1000, flags="PA")
NOPS = [("NOP", None)]


def read(parts: Loaded, packet: Packet | bytes) -> Any:
    """What the parsers made of a packet, a `struct part_packet`."""
    raw = packet if isinstance(packet, bytes) else bytes(ETHER / packet)
    testrun.run_program(parts.programs["part_packet"], data=raw)
    return parts.maps["part_packet_read"].lookup(0)


@pytest.mark.parametrize(
    ("packet", "payload", "length", "sequence"),
    [
        (IP(**V4) / SEGMENT / b"hello", 40, 5, 1000),
        (IP(**V4) / SEGMENT, 40, 0, 1000),
        (IP(**V4) / TCP(seq=2**32 - 1, flags="S") / b"early", 40, 5, 0),
        (IP(**V4) / TCP(seq=7, flags="A", options=NOPS * 40) / b"x", 80, 1, 7),
        (IP(**V4, options=[IPOption_NOP()] * 40) / SEGMENT / b"x", 80, 1, 1000),
        (IPv6(**V6) / SEGMENT / b"hello", 60, 5, 1000),
        (IPv6(**V6) / IPv6ExtHdrHopByHop() / SEGMENT / b"x", 68, 1, 1000),
        (IPv6(**V6) / IPv6ExtHdrRouting(addresses=["::1"]) / SEGMENT / b"x", 84, 1, 1000),
        (
            IPv6(**V6)
            / IPv6ExtHdrHopByHop()
            / IPv6ExtHdrDestOpt()
            / IPv6ExtHdrRouting()
            / IPv6ExtHdrDestOpt()
            / SEGMENT
            / b"x",
            92,
            1,
            1000,
        ),
    ],
)
def test_tcp(parts: Loaded, packet: Packet, payload: int, length: int, sequence: int) -> None:
    found = read(parts, packet)

    assert (int(found["tcp"]), int(found["udp"])) == (1, 0)
    segment = found["as_tcp"]
    assert (int(segment["payload"]), int(segment["len"])) == (payload, length)
    assert int(segment["seq"]) == sequence


@pytest.mark.parametrize(
    ("packet", "payload", "length"),
    [
        (IP(**V4) / UDP(sport=4, dport=53) / b"hello", 28, 5),
        (IP(**V4, options=[IPOption_NOP()] * 8) / UDP(sport=4, dport=53), 36, 0),
        (IPv6(**V6) / UDP(sport=4, dport=53) / b"hello", 48, 5),
        (IPv6(**V6) / IPv6ExtHdrDestOpt() / UDP(sport=4, dport=53) / b"x", 56, 1),
    ],
)
def test_udp(parts: Loaded, packet: Packet, payload: int, length: int) -> None:
    found = read(parts, packet)

    assert (int(found["tcp"]), int(found["udp"])) == (0, 1)
    datagram = found["as_udp"]
    assert (int(datagram["payload"]), int(datagram["len"])) == (payload, length)
    assert (int(datagram["source_port"]), int(datagram["destination_port"])) == (4, 53)


@pytest.mark.parametrize(
    "packet",
    [
        IP(**V4, proto=6),
        IP(**V4, proto=6) / Raw(bytes(19)),
        IP(**V4, proto=17) / Raw(bytes(7)),
        IP(**V4, proto=132) / Raw(bytes(40)),
        IPv6(**V6, nh=6) / Raw(bytes(19)),
        IPv6(**V6, nh=59),
        IPv6(**V6, nh=0),
        IPv6(**V6, nh=0) / Raw(b"\x06"),
        IPv6(**V6, nh=60) / Raw(b"\x06\xff" + bytes(60)),
        IPv6(**V6) / IPv6ExtHdrFragment(offset=100) / SEGMENT / b"x",
        IPv6(**V6)
        / IPv6ExtHdrDestOpt()
        / IPv6ExtHdrDestOpt()
        / IPv6ExtHdrDestOpt()
        / IPv6ExtHdrDestOpt()
        / IPv6ExtHdrDestOpt()
        / SEGMENT,
    ],
)
def test_what_does_not_parse_is_said_not_to(parts: Loaded, packet: Packet) -> None:
    found = read(parts, packet)

    assert (int(found["tcp"]), int(found["udp"])) == (0, 0)


def test_addresses_are_sixteen_bytes(parts: Loaded) -> None:
    four, six = read(parts, IP(**V4) / SEGMENT), read(parts, IPv6(**V6) / SEGMENT)

    assert bytes(bytearray(four["source"])) == bytes(10) + b"\xff\xff\xc0\x00\x02\x01"
    assert bytes(bytearray(four["destination"])) == bytes(10) + b"\xff\xff\xc6\x33\x64\x02"
    assert bytes(bytearray(six["source"])) == b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01"
    assert bytes(bytearray(six["destination"])) == b"\x20\x01\x0d\xb8" + bytes(11) + b"\x02"


def test_a_header_length_that_lies_gives_no_payload(parts: Loaded) -> None:
    """A data offset beyond the packet: no byte of it is read."""
    found = read(parts, IP(**V4) / TCP(dataofs=15, flags="PA") / b"abc")

    assert int(found["as_tcp"]["len"]) == 0
