# SPDX-License-Identifier: Apache-2.0
"""The gRPC health protocol: grpcio's own server, and endpoints that are no such thing."""

import struct
from contextlib import asynccontextmanager

import grpc.aio
import h2.config
import h2.connection
import h2.events
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.unit.health.endpoints import check, reset, silent, target
from undermesh.health import grpc as health_grpc
from undermesh.health.answer import Failed, Passed
from undermesh.health.asking import check_once
from undermesh.model.service import GrpcCheck

ASKED = "grpc.health.v1 Check"


async def ask(port, *, service="", within=5.0):
    """What a check of this endpoint comes to."""
    asked = check(GrpcCheck(service=service), within=within)
    return await check_once(target(port), asked, connect_in=None)


@asynccontextmanager
async def real_server(*, with_health=True):
    """grpcio's server with its health service; yields (port, health service)."""
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    if with_health:
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port, servicer
    finally:
        await server.stop(None)


async def test_the_server_as_a_whole_and_one_service_of_it() -> None:
    status = health_pb2.HealthCheckResponse
    async with real_server() as (port, servicer):
        assert await ask(port) == Passed(f"{ASKED} answered SERVING")
        await servicer.set("shop.Cart", status.NOT_SERVING)
        assert await ask(port, service="shop.Cart") == Failed(
            f"{ASKED}('shop.Cart') answered NOT_SERVING"
        )
        await servicer.set("shop.Cart", status.SERVING)
        assert await ask(port, service="shop.Cart") == Passed(
            f"{ASKED}('shop.Cart') answered SERVING"
        )
        await servicer.set("shop.Cart", status.UNKNOWN)
        assert await ask(port, service="shop.Cart") == Failed(
            f"{ASKED}('shop.Cart') answered UNKNOWN"
        )


async def test_a_service_it_does_not_know() -> None:
    async with real_server() as (port, _):
        assert await ask(port, service="shop.Nobody") == Failed(
            f"{ASKED}('shop.Nobody') answered NOT_FOUND: it does not know the service"
        )


async def test_a_server_without_the_health_service() -> None:
    async with real_server(with_health=False) as (port, _):
        assert await ask(port) == Failed(f"{ASKED} answered UNIMPLEMENTED: it has no health check")


async def test_a_long_name_of_a_service() -> None:
    async with real_server() as (port, servicer):
        name = "s" * 300
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        assert isinstance(await ask(port, service=name), Passed)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100, b"SSH-2.0\r\n"])
async def test_what_is_not_http_2_fails(endpoints, said) -> None:
    async def handler(reader, writer) -> None:
        await reader.read(100)
        writer.write(said)
        await writer.drain()
        await reader.read()

    answer = await ask(await endpoints.serve(handler), within=0.3)
    assert isinstance(answer, Failed)
    assert "not HTTP/2" in answer.reason or "no whole answer" in answer.reason


async def test_silence_reset_and_an_early_end(endpoints) -> None:
    async def ends(reader, writer) -> None:
        await reader.read(1000)

    port = await endpoints.serve(silent)
    assert await ask(port, within=0.1) == Failed("connected, but no answer within 0.1 s")
    port = await endpoints.serve(reset)
    assert await ask(port) == Failed("connection reset by peer instead of an answer")
    answer = await ask(await endpoints.serve(ends))
    assert isinstance(answer, Failed)


async def test_settings_and_pings_without_end_are_cut(endpoints) -> None:
    settings = b"\0\0\0\x04\0\0\0\0\0"
    ping = b"\0\0\x08\x06\0\0\0\0\0" + b"x" * 8

    async def handler(reader, writer) -> None:
        writer.write(settings)
        while True:
            writer.write(ping * 100)
            await writer.drain()

    answer = await ask(await endpoints.serve(handler), within=10)
    assert isinstance(answer, Failed)


async def test_header_blocks_without_end_are_cut(endpoints) -> None:
    """The CONTINUATION flood: headers that never end."""

    async def handler(reader, writer) -> None:
        writer.write(b"\0\0\0\x04\0\0\0\0\0")
        writer.write(_frame(1, 0, b"\x88"))
        while True:
            writer.write(_frame(9, 0, b"\0\x01x\x7f" + b"y" * 127))
            await writer.drain()

    answer = await ask(await endpoints.serve(handler), within=10)
    assert isinstance(answer, Failed)


def _frame(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + b"\0\0\0\x01" + payload


@asynccontextmanager
async def scripted(endpoints, script):
    """A server that speaks HTTP/2 properly and answers the call as `script` says."""

    async def handler(reader, writer) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.StreamEnded):
                    script(connection)
            writer.write(connection.data_to_send())

    yield await endpoints.serve(handler)


def _answers(*, status="200", body=b"\0\0\0\0\2\x08\x01", trailers=(("grpc-status", "0"),)):
    def script(connection) -> None:
        connection.send_headers(1, [(":status", status), ("content-type", "application/grpc")])
        if body:
            connection.send_data(1, body, end_stream=not trailers)
        if trailers:
            connection.send_headers(1, list(trailers), end_stream=True)

    return script


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        (_answers(), Passed(f"{ASKED} answered SERVING")),
        (_answers(status="503"), Failed(f"{ASKED}: HTTP status 503, not 200")),
        (_answers(trailers=()), Failed(f"{ASKED}: the call ended without a gRPC status")),
        (
            _answers(trailers=(("grpc-status", "banana"), ("grpc-message", "\t\x1b[31m"))),
            Failed(f"{ASKED}: the call ended without a gRPC status"),
        ),
        (_answers(trailers=(("grpc-status", "14"),)), Failed(f"{ASKED} answered UNAVAILABLE")),
        (_answers(trailers=(("grpc-status", "99"),)), Failed(f"{ASKED} answered 99")),
        (_answers(body=b""), Failed(f"{ASKED}: the answer is not a HealthCheckResponse")),
        (
            _answers(body=b"\1\0\0\0\2zz"),
            Failed(f"{ASKED}: the answer is not a HealthCheckResponse"),
        ),
        (_answers(body=b"\0\0\0\0\0"), Failed(f"{ASKED} answered UNKNOWN")),
        (lambda c: c.reset_stream(1, 7), Failed(f"{ASKED}: the call was reset (REFUSED_STREAM)")),
        (
            lambda c: c.close_connection(11),
            Failed(f"{ASKED}: the connection was given up (ENHANCE_YOUR_CALM)"),
        ),
    ],
)
async def test_answers_of_every_kind(endpoints, script, answer) -> None:
    async with scripted(endpoints, script) as port:
        assert await ask(port) == answer


@pytest.mark.parametrize("length", [0, 1, 127, 128, 20000])
def test_requests_are_what_protobuf_makes(length) -> None:
    name = "s" * length
    made = health_pb2.HealthCheckRequest(service=name).SerializeToString()
    assert health_grpc.request(name) == made


@pytest.mark.parametrize("status", range(4))
def test_answers_are_read_as_protobuf_does(status) -> None:
    made = health_pb2.HealthCheckResponse(status=status).SerializeToString()
    assert health_grpc.answered(b"\0" + struct.pack(">I", len(made)) + made) == status


@pytest.mark.parametrize("body", [b"\0\0\0\0\3\x08\x01", b"\0\0\0\0\1\x08", b"\0\0\0\0\2\x12\x01"])
def test_half_an_answer_is_none(body) -> None:
    assert health_grpc.answered(body) is None
