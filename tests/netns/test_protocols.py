# SPDX-License-Identifier: Apache-2.0
"""What is not HTTP/1.x on real sockets: TLS with its names, HTTP/2, plain TCP, tunnels; samples."""

import socket
import ssl
import threading
from pathlib import Path

import pytest

from tests.netns.hosts import Host, exchange, in_netns, receive, run
from tests.netns.seeing import METHODS, Seen, address

GET = b"GET /a/path?secret=1 HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
ERROR = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate that nobody checks."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", "/CN=a.example", "-keyout", str(path), "-out", f"{path}.crt")  # fmt: skip
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@FAMILIES
@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
@pytest.mark.parametrize("outside", [False, True], ids=["paired", "external client"])
def test_tls(
    hosts: tuple[Host, Host], a: Host, b: Host, seen: Seen, certificate: Path, family: int,
    most: ssl.TLSVersion, outside: bool,
) -> None:  # fmt: skip
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.check_hostname, ours.verify_mode = False, ssl.CERT_NONE
    ours.maximum_version = most
    ours.set_alpn_protocols(["http/1.1", "x"])
    theirs.load_cert_chain(certificate)
    with b.listen(family) as door:
        port = door.getsockname()[1]
        if outside:
            with in_netns(hosts[0].netns):
                client = socket.create_connection(door.getsockname()[:2], timeout=10)
        else:
            client = a.connect(door)
        server, _ = door.accept()
        server.settimeout(10)
        serving = threading.Thread(target=_serve_tls, args=(theirs, server))
        serving.start()
        with client, ours.wrap_socket(client, server_hostname="a.example") as tls:
            tls.sendall(GET)
            assert tls.recv(100) == OK
        serving.join()

    edge = seen.edge(port)
    assert (edge.l7, edge["opened"], edge["closed"]) == ("tls", 1, 1)
    assert seen.requests(port) == []
    (flow,) = seen.flows(port)
    assert bytes(flow["sni"]).rstrip(b"\0") == b"a.example"
    assert bytes(flow["alpn"]).rstrip(b"\0") == b"http/1.1"
    assert int(flow["tls_version"]) == int(most)


def _serve_tls(context: ssl.SSLContext, server: socket.socket) -> None:
    with server, context.wrap_socket(server, server_side=True) as tls:
        assert tls.recv(100) == GET
        tls.sendall(OK)
        tls.recv(100)


@FAMILIES
def test_http2(a: Host, b: Host, seen: Seen, family: int) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    with b.listen(family) as door, a.connect(door) as client, door.accept()[0] as server:
        port = door.getsockname()[1]
        exchange(client, server, request=preface, answer=bytes(9))
        exchange(client, server, request=GET, answer=OK)

    edge = seen.edge(port)
    assert (edge.l7, edge["tx_bytes"]) == ("http2", len(preface) + len(GET))
    assert seen.requests(port) == []


@FAMILIES
def test_a_server_that_speaks_first(a: Host, b: Host, seen: Seen, family: int) -> None:
    with b.listen(family, port=8025 if family == socket.AF_INET else 8026) as door:
        port = door.getsockname()[1]
        with a.connect(door) as client, door.accept()[0] as server:
            server.sendall(b"220 mail ESMTP\r\n")
            receive(client, 16)
            exchange(client, server, request=b"EHLO a\r\n", answer=b"250 a\r\n")
            exchange(client, server, request=GET, answer=OK)

    edge = seen.edge(port)
    assert (edge.l7, edge["desyncs"]) == ("tcp", 0)
    assert (edge["tx_bytes"], edge["rx_bytes"]) == (8 + len(GET), 16 + 7 + len(OK))
    assert seen.requests(port) == []


def test_a_websocket_is_one_request(a: Host, b: Host, seen: Seen) -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    with b.listen() as door, a.connect(door) as client, door.accept()[0] as server:
        port = door.getsockname()[1]
        exchange(client, server, request=GET, answer=switching)
        for _ in range(10):
            exchange(client, server, request=b"\x81\x02hi", answer=b"\x81\x02ho")

    edge = seen.edge(port)
    assert (edge.l7, edge["tx_bytes"], edge["desyncs"]) == ("http1", len(GET) + 40, 0)
    assert seen.counts(port) == {("GET", 101): 1}


@FAMILIES
def test_a_failed_request_is_sampled_with_its_path_but_not_its_query(
    a: Host, b: Host, seen: Seen, family: int
) -> None:
    with b.listen(family) as door, a.connect(door) as client, door.accept()[0] as server:
        port = door.getsockname()[1]
        exchange(client, server, request=GET, answer=ERROR)
        mine = client.getsockname()[1]

    (sample,) = seen.samples(port)
    assert bytes(sample["path"])[: int(sample["path_len"])] == b"/a/path"
    assert (METHODS[int(sample["method"])], int(sample["status"])) == ("GET", 503)
    assert (int(sample["kind"]), int(sample["request_bytes"])) == (1, len(GET))
    assert address(sample["client_address"]) == a.address(family)
    assert (int(sample["client_port"]), int(sample["server_port"])) == (mine, port)


def test_errors_are_sampled_within_their_budget(a: Host, b: Host, seen: Seen) -> None:
    with b.listen() as door, a.connect(door) as client, door.accept()[0] as server:
        port, before = door.getsockname()[1], seen.stat("samples_limited")
        for _ in range(300):
            exchange(client, server, request=GET, answer=ERROR)

    assert seen.counts(port) == {("GET", 503): 300}
    sampled = len(seen.samples(port))
    assert sampled + seen.stat("samples_limited") - before == 300
    assert 1 <= sampled <= 150
