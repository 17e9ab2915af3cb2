# SPDX-License-Identifier: Apache-2.0
"""The host's own addresses."""

import ipaddress
import struct

import pytest

from undermesh.host.local import LocalAddresses, is_loopback, parse_addresses


def packed(text):
    address = ipaddress.ip_address(text)
    return b"\0" * 10 + b"\xff\xff" + address.packed if address.version == 4 else address.packed


def message(kind, body):
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body + b"\0" * (-len(body) % 4)


def address(index, *attributes):
    body = struct.pack("=BBBBI", 2, 24, 0, 0, index)
    for kind, raw in attributes:
        body += struct.pack("=HH", 4 + len(raw), kind) + raw + b"\0" * (-len(raw) % 4)
    return message(20, body)


def test_loopback_is_local_without_asking():
    assert is_loopback(packed("127.0.0.1"))
    assert is_loopback(packed("127.9.9.9"))
    assert is_loopback(packed("::1"))
    assert not is_loopback(packed("10.0.0.1"))
    assert not is_loopback(packed("::2"))


def test_this_hosts_addresses_include_loopback():
    local = LocalAddresses()
    assert packed("127.0.0.1") in local.refresh()
    assert local.is_local(packed("127.0.0.1"))
    assert not local.is_local(packed("192.0.2.200"))


def test_on_a_point_to_point_link_the_other_side_is_not_local():
    mine, other = b"\x0a\0\0\1", b"\x0a\0\0\2"
    found, done = parse_addresses(address(3, (1, other), (3, b"tun0\0"), (2, mine)))
    assert (found, done) == ([(3, packed("10.0.0.1"))], False)


def test_several_messages_and_the_end():
    six = ipaddress.ip_address("2001:db8::1").packed
    datagram = address(1, (1, six)) + message(3, b"\0" * 4)
    assert parse_addresses(datagram) == ([(1, packed("2001:db8::1"))], True)


def test_an_error_of_the_kernel_is_raised():
    with pytest.raises(PermissionError):
        parse_addresses(message(2, struct.pack("=i", -1) + b"\0" * 16))


@pytest.mark.parametrize(
    "datagram",
    [b"", b"\0" * 15, b"\0" * 16, b"\xff" * 64, address(1, (1, b"abc")), message(20, b"\0")],
)
def test_what_does_not_parse_is_skipped(datagram):
    assert parse_addresses(datagram) == ([], False)
