# SPDX-License-Identifier: Apache-2.0
"""Ends of aliases that are not ours: stub resolvers follow no CNAME, so we do (RFC 1034 5)."""

import asyncio

from undermesh.model.service import Address
from undermesh.names import streams, wire
from undermesh.names.answers import Chase, Rcode
from undermesh.names.askers import Askers, family_of
from undermesh.names.desk import Desk


async def chase(
    desk: Desk, askers: Askers, query: wire.Query, found: Chase, *, to: Address, stream: bool
) -> bytes:
    """The answer for an alias, its end asked of the resolver the query was for."""
    limit = wire.STREAM_LIMIT if stream else query.size
    if desk.flows >= desk.limits.flows:
        desk.counts.full += 1
        return wire.plain(query, Rcode.SERVFAIL)
    question = wire.question_for(query, found.target)
    desk.flows += 1
    try:
        async with asyncio.timeout(desk.limits.answer_within):
            ask = _by_stream if stream else _by_datagram
            reply = await ask(askers, question, to)
    except (OSError, EOFError):  # TimeoutError is an OSError
        desk.counts.unreachable += 1
        return wire.plain(query, Rcode.SERVFAIL)
    finally:
        desk.flows -= 1
    return wire.with_aliases(query, found.aliases, reply, limit=limit)


async def _by_datagram(askers: Askers, question: bytes, to: Address) -> bytes:
    loop = asyncio.get_running_loop()
    with await askers.take(family_of(to)) as sock:
        sock.connect((str(to), 53))
        await loop.sock_sendall(sock, question)
        while True:
            reply = await loop.sock_recv(sock, 65535)
            if reply[:2] == question[:2]:
                return reply


async def _by_stream(askers: Askers, question: bytes, to: Address) -> bytes:
    reader, writer = await asyncio.open_connection(sock=await askers.connected(to))
    try:
        writer.write(len(question).to_bytes(2, "big") + question)
        return (await streams.read_message(reader))[2:]
    finally:
        writer.close()
