# SPDX-License-Identifier: Apache-2.0
"""DNS by TCP (RFC 7766): queries for our names answered, everything else passed on as it comes.

The connection with the resolver is made when the first query for it arrives, one for each of the
asker's. What does not begin like a DNS query is passed both ways as bytes.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from undermesh.model.service import Address
from undermesh.names.askers import Askers
from undermesh.names.desk import Desk

Respond = Callable[[bytes], Awaitable[bytes | None]]
_HEAD = 14  # a length and a DNS header
_PIECE = 65536


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """A message with its two bytes of length. Raises IncompleteReadError, an EOFError."""
    head = await reader.readexactly(2)
    return head + await reader.readexactly(int.from_bytes(head, "big"))


class Conversation:
    """One connection of an asker."""

    def __init__(
        self,
        desk: Desk,
        askers: Askers,
        ends: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        *,
        to: Address,
    ) -> None:
        self._desk = desk
        self._askers = askers
        self._reader, self._writer = ends
        self._to = to
        self._further: asyncio.StreamWriter | None = None
        self._back: asyncio.Task[None] | None = None

    async def hold(self, respond: Respond) -> None:
        """Until one side ends it, or nothing is asked for a while. `respond` answers a message, or
        says None: not ours."""
        try:
            while (head := await self._head()) is not None:
                if not _plausible(head):
                    await self._as_bytes(head)
                    return
                size = int.from_bytes(head[:2], "big")
                message = head + await self._reader.readexactly(size + 2 - _HEAD)
                answer = await respond(message[2:])
                if answer is None:
                    await self._pass_on(message)
                else:
                    self._writer.write(len(answer).to_bytes(2, "big") + answer)
                    await self._writer.drain()
            await self._finish()
        except (OSError, EOFError):
            pass  # one of the two ends is gone, and so is the other in a moment
        finally:
            await self._close()

    async def _head(self) -> bytes | None:
        """The beginning of the next message; None at the end, or when nobody asks any more."""
        while True:
            try:
                async with asyncio.timeout(self._desk.limits.idle):
                    head = await self._reader.readexactly(_HEAD)
            except TimeoutError:
                if self._back is not None and not self._back.done():
                    continue  # the resolver is not done; it closes idle connections itself
                return None
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    await self._pass_on(error.partial)
                return None
            return head

    async def _pass_on(self, data: bytes) -> None:
        if self._further is None:
            await self._connect(frames=True)
        assert self._further is not None
        self._desk.counts.forwarded += 1
        self._further.write(data)
        await self._further.drain()

    async def _connect(self, *, frames: bool) -> None:
        """Raises OSError when the resolver cannot be reached: the asker's connection then ends."""
        try:
            async with asyncio.timeout(self._desk.limits.answer_within):
                sock = await self._askers.connected(self._to)
        except OSError:
            self._desk.counts.unreachable += 1
            raise
        reader, self._further = await asyncio.open_connection(sock=sock)
        back = self._messages_back(reader) if frames else _copy(reader, self._writer)
        self._back = asyncio.create_task(back, name="names: a resolver's answers by TCP")

    async def _messages_back(self, reader: asyncio.StreamReader) -> None:
        """Whole messages, so that our own answers never fall into one."""
        try:
            while True:
                self._writer.write(await read_message(reader))
                self._desk.counts.returned += 1
                await self._writer.drain()
        except asyncio.IncompleteReadError as error:
            self._writer.write(error.partial)
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                self._writer.close()

    async def _as_bytes(self, head: bytes) -> None:
        """No DNS: passed on as it is."""
        await self._connect(frames=False)
        assert self._further is not None
        self._desk.counts.forwarded += 1
        self._further.write(head)
        await _copy(self._reader, self._further)
        await self._finish()

    async def _finish(self) -> None:
        """The asker has nothing more to say; the resolver may still have."""
        if self._further is None or self._back is None:
            return
        with contextlib.suppress(OSError):
            self._further.write_eof()
        await asyncio.wait([self._back], timeout=self._desk.limits.answer_within)

    async def _close(self) -> None:
        if self._back is not None:
            self._back.cancel()
            await asyncio.wait([self._back])
        for writer in (self._further, self._writer):
            if writer is not None:
                writer.close()


def _plausible(head: bytes) -> bool:
    """Whether a length and a header are those of a DNS query: opcode QUERY, no answers in it."""
    query = not head[4] & 0xF8 and head[8:10] == b"\0\0" and head[6:8] in (b"\0\0", b"\0\1")
    return query and int.from_bytes(head[:2], "big") >= _HEAD - 2


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
