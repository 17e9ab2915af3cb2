# SPDX-License-Identifier: Apache-2.0
"""One check of one target, from the connection to the answer, within its time-out."""

import asyncio
from typing import assert_never

from undermesh.health import http1
from undermesh.health.answer import Answer, Failed, NotTried, Passed
from undermesh.health.connecting import ConnectIn, NotConnected, Stream, Unable, opened
from undermesh.model.health import Target
from undermesh.model.service import Check, GrpcCheck, HttpCheck, Probe, TcpCheck


async def check_once(target: Target, check: Check, *, connect_in: ConnectIn | None) -> Answer:
    """What the target answers now. Whatever an endpoint does is an answer; nothing is raised."""
    port = check.port or target.port
    stream: Stream | None = None
    try:
        async with (
            asyncio.timeout(check.timeout.total_seconds()),
            opened(target.address, port, target.netns, connect_in=connect_in) as stream,
        ):
            return await _ask(stream, check.probe, authority(target, port))
    except TimeoutError:
        return Failed(_late(stream, check.timeout.total_seconds()))
    except NotConnected as error:
        return Failed(f"connecting to {authority(target, port)}: {error}")
    except Unable as error:
        return NotTried(f"checking {target}: {error}")
    except OSError as error:
        what = "while answering" if stream and stream.received else "instead of an answer"
        return Failed(f"{(error.strerror or str(error)).lower()} {what}")


def authority(target: Target, port: int) -> str:
    """`address:port` as a URL has it."""
    host = f"[{target.address}]" if target.address.version == 6 else str(target.address)
    return f"{host}:{port}"


async def _ask(stream: Stream, probe: Probe, name: str) -> Answer:
    match probe:
        case TcpCheck():
            return Passed("accepts connections")
        case HttpCheck():
            return await http1.ask(stream, probe, name)
        case GrpcCheck():
            from undermesh.health import grpc  # h2 is imported where somebody speaks it

            return await grpc.ask(stream, probe, name)
        case _:
            assert_never(probe)


def _late(stream: Stream | None, seconds: float) -> str:
    if stream is None:
        return f"no connection within {seconds:g} s"
    if not stream.received:
        return f"connected, but no answer within {seconds:g} s"
    return f"no whole answer within {seconds:g} s, {stream.received} bytes of it"
