# SPDX-License-Identifier: Apache-2.0
"""Asking grpc.health.v1.Health/Check over plain HTTP/2, one call on a connection of its own.

The protocol: https://github.com/grpc/grpc/blob/master/doc/health-checking.md, and PROTOCOL-HTTP2.md
there. The two messages have one field each, which is all of protobuf that is needed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from undermesh.health.answer import Answer, Failed, Passed
from undermesh.health.connecting import Stream
from undermesh.model.service import GrpcCheck

PATH = "/grpc.health.v1.Health/Check"

RECEIVED_LIMIT = 65536
"""Bytes of one answer, settings, pings and header blocks included."""

_SERVING = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_STATUSES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_MEANINGS = {"NOT_FOUND": "it does not know the service", "UNIMPLEMENTED": "it has no health check"}

_CONFIG = h2.config.H2Configuration(
    client_side=True,
    header_encoding=None,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


@dataclass(slots=True)
class _Call:
    """What has been heard of the one call."""

    http_status: bytes = b""
    grpc_status: bytes = b""
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    cut: str = ""


async def ask(stream: Stream, check: GrpcCheck, authority: str) -> Answer:
    """One call. Raises OSError when the connection breaks."""
    connection = _begin(check, authority)
    call = _Call()
    while not call.ended and not call.cut:
        if pending := connection.data_to_send():
            await stream.send(pending)
        data = await stream.receive()
        if not data:
            what = "before the call ended" if stream.received else "without an answer"
            return Failed(f"the connection was closed {what}")
        if stream.received > RECEIVED_LIMIT:
            return Failed(f"an answer of more than {RECEIVED_LIMIT // 1024} KiB")
        try:
            _take(call, connection, connection.receive_data(data))
        except h2.exceptions.ProtocolError as error:
            return Failed(f"the answer is not HTTP/2: {type(error).__name__}")
    return _judge(call, check)


def _begin(check: GrpcCheck, authority: str) -> h2.connection.H2Connection:
    connection = h2.connection.H2Connection(_CONFIG)
    connection.initiate_connection()
    headers = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "undermesh"),
    )
    connection.send_headers(1, headers)
    message = request(check.service)
    connection.send_data(1, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=True)
    return connection


def _take(
    call: _Call, connection: h2.connection.H2Connection, events: Iterable[h2.events.Event]
) -> None:
    for event in events:
        match event:
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                headers: dict[bytes, bytes] = {bytes(k): bytes(v) for k, v in event.headers or ()}
                call.http_status = headers.get(b":status", call.http_status)
                call.grpc_status = headers.get(b"grpc-status", call.grpc_status)
            case h2.events.DataReceived():
                call.body += event.data or b""
                connection.acknowledge_received_data(event.flow_controlled_length or 0, 1)
            case h2.events.StreamEnded():
                call.ended = True
            case h2.events.StreamReset():
                call.cut = f"the call was reset ({_error(event.error_code)})"
            case h2.events.ConnectionTerminated() if not call.ended:
                call.cut = f"the connection was given up ({_error(event.error_code)})"


def _judge(call: _Call, check: GrpcCheck) -> Answer:
    asked = f"grpc.health.v1 Check({check.service!r})" if check.service else "grpc.health.v1 Check"
    if call.cut:
        return Failed(f"{asked}: {call.cut}")
    if call.http_status != b"200":
        return Failed(f"{asked}: HTTP status {_number(call.http_status) or 'missing'}, not 200")
    status = _number(call.grpc_status)
    if status is None:
        return Failed(f"{asked}: the call ended without a gRPC status")
    if status != 0:
        name = _STATUSES[status] if status < len(_STATUSES) else str(status)
        meaning = f": {_MEANINGS[name]}" if name in _MEANINGS else ""
        return Failed(f"{asked} answered {name}{meaning}")
    serving = answered(bytes(call.body))
    if serving is None:
        return Failed(f"{asked}: the answer is not a HealthCheckResponse")
    name = _SERVING[serving] if serving < len(_SERVING) else str(serving)
    return (Passed if serving == 1 else Failed)(f"{asked} answered {name}")


def request(service: str) -> bytes:
    """A HealthCheckRequest: field 1, the service's name; nothing for the server as a whole."""
    name = service.encode()
    return b"\x0a" + _varint(len(name)) + name if name else b""


def answered(body: bytes) -> int | None:
    """The status in a HealthCheckResponse with its gRPC prefix; None: it is none."""
    if len(body) < 5 or body[0] != 0 or int.from_bytes(body[1:5], "big") != len(body) - 5:
        return None
    message = body[5:]
    if not message:
        return 0  # what proto3 leaves out is zero: UNKNOWN
    if message[0] != 0x08:
        return None
    value = 0
    for shift, byte in enumerate(message[1:11]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value
    return None


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(text: bytes) -> int | None:
    """A small number from a peer; None for anything else."""
    return int(text) if text.isdigit() and len(text) <= 4 else None


def _error(code: int | None) -> str:
    try:
        return h2.errors.ErrorCodes(code or 0).name
    except ValueError:
        return f"error {code}"
