# SPDX-License-Identifier: Apache-2.0
"""TLS hellos of OpenSSL, and hostile ones: server name, ALPN and version in clear."""

import ssl
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from undermesh.kernel import testrun
from undermesh.kernel.loaded import Loaded

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
PACE = settings(max_examples=300, derandomize=True, database=None, deadline=None)


def hello(name: str | None, *protocols: str, most: ssl.TLSVersion | None = None) -> bytes:
    """A ClientHello of this Python's OpenSSL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if most is not None:
        context.maximum_version = most
    if protocols:
        context.set_alpn_protocols(list(protocols))
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


def read(parts: Loaded, record: bytes, *, version: int = 4) -> tuple[bool, int, bytes, bytes]:
    """(is a ClientHello, version of a ServerHello, server name, first ALPN protocol)."""
    network = IP() if version == 4 else IPv6()
    data = bytes(ETHER / network / TCP(flags="PA") / record)
    assert testrun.run_program(parts.programs["part_tls"], data=data).retval == 1
    said = parts.maps["part_tls_read"].lookup(0)
    assert said is not None
    names = (bytes(said["said"][field]).rstrip(b"\0") for field in ("sni", "alpn"))
    sni, alpn = names
    return bool(said["client"]), int(said["server"]), sni, alpn


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("most", [None, ssl.TLSVersion.TLSv1_2])
@pytest.mark.parametrize(
    ("name", "protocols"),
    [
        ("example.com", ()),
        ("example.com", ("h2", "http/1.1")),
        (None, ("http/1.1",)),
        (None, ()),
        ("a", ("x",)),
        ("n" * 63 + ".example", ()),
    ],
)
def test_client_hellos_of_openssl(
    parts: Loaded, version: int, most: ssl.TLSVersion | None, name: str | None,
    protocols: tuple[str, ...],
) -> None:  # fmt: skip
    found = read(parts, hello(name, *protocols, most=most), version=version)

    alpn = protocols[0] if protocols else ""
    assert found == (True, 0, (name or "").encode()[:63], alpn.encode()[:15])


def server_hello(*, legacy: int, chosen: int | None, session: int = 32) -> bytes:
    """A ServerHello record (RFC 8446 4.1.3)."""
    extensions = struct.pack(">HHHB", 0x0033, 3, 1, 2)
    if chosen is not None:
        extensions += struct.pack(">HHH", 43, 2, chosen)
    body = struct.pack(">H", legacy) + bytes(32) + bytes([session]) + bytes(session)
    body += struct.pack(">HBH", 0x1301, 0, len(extensions)) + extensions
    handshake = b"\x02" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x03" + struct.pack(">H", len(handshake)) + handshake


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("session", [0, 32])
@pytest.mark.parametrize(
    ("legacy", "chosen", "is_"),
    [(0x0303, 0x0304, 0x0304), (0x0303, None, 0x0303), (0x0302, None, 0x0302)],
)
def test_server_hellos(
    parts: Loaded, version: int, session: int, legacy: int, chosen: int | None, is_: int
) -> None:
    record = server_hello(legacy=legacy, chosen=chosen, session=session)

    assert read(parts, record, version=version) == (False, is_, b"", b"")


def test_a_hello_cut_anywhere_says_what_is_there(parts: Loaded) -> None:
    whole = hello("example.com", "h2")
    names = set()
    for size in range(len(whole)):
        is_client, server, sni, alpn = read(parts, whole[:size])
        assert server == 0
        assert is_client == (size >= 6)
        assert b"example.com".startswith(sni)
        assert alpn in (b"", b"h2")
        names.add(sni)
    assert names == {b"", b"example.com"}


@given(where=st.integers(0, 600), what=st.binary(min_size=1, max_size=8))
@PACE
def test_hostile_hellos_are_read_within_bounds(parts: Loaded, where: int, what: bytes) -> None:
    """Whatever lengths say, nothing outside the packet is read: no name is invented."""
    record = bytearray(hello("example.com", "h2"))
    at = where % len(record)
    record[at : at + len(what)] = what
    _, _, sni, alpn = read(parts, bytes(record))

    assert sni in bytes(record)
    assert alpn in bytes(record)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\x16",
        b"\x16\x03\x01\x00\x01",
        b"\x17\x03\x03\x00\x05hello",
        b"\x16\x02\x01\x00\x05\x01",
        b"\x16\x03\x01\xff\xff\x01" + b"\xff" * 700,
        b"\x16\x03\x01\xff\xff\x01" + bytes(700),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_other_bytes_have_no_names(parts: Loaded, record: bytes) -> None:
    _, _, sni, alpn = read(parts, record)

    assert (sni, alpn) == (b"", b"")
