# SPDX-License-Identifier: Apache-2.0
"""Just enough of the Redis protocol (RESP2) for the shop."""

from __future__ import annotations

import asyncio

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Redis:
    """Kept connections to one server: as many as there are commands at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Streams] = []

    async def command(self, *words: str) -> bytes | int | None:
        """One command; its answer, None for a missing value. Raises RuntimeError on an error."""
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        parts = [f"*{len(words)}\r\n"]
        parts += [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
        writer.write("".join(parts).encode())
        answer = await _read(reader)
        self._idle.append((reader, writer))
        return answer


async def _read(reader: asyncio.StreamReader) -> bytes | int | None:
    line = (await reader.readuntil(b"\r\n"))[:-2]
    kind, rest = line[:1], line[1:]
    match kind:
        case b"+":
            return rest
        case b":":
            return int(rest)
        case b"$":
            size = int(rest)
            return None if size < 0 else (await reader.readexactly(size + 2))[:-2]
        case _:
            raise RuntimeError(f"redis answered {line.decode('utf-8', 'replace')}")
