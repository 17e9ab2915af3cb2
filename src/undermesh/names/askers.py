# SPDX-License-Identifier: Apache-2.0
"""Sockets of one network namespace to ask resolvers with: made there in batches, ahead of need."""

import asyncio
import functools
import socket

from undermesh.model.service import Address
from undermesh.names import doors
from undermesh.names.places import Capture, Place

_BATCH = 16
_LOW = 4


class Askers:
    """Hands out unconnected, tagged, non-blocking UDP sockets; each is used for one conversation,
    so that its source port is as hard to guess as the kernel makes it (RFC 5452 9.2)."""

    def __init__(self, place: Place, capture: Capture) -> None:
        self._place = place
        self._capture = capture
        self._ready: dict[int, list[socket.socket]] = {}
        self._filling: dict[int, asyncio.Task[None]] = {}
        self._closed = False

    def take_nowait(self, family: int) -> socket.socket | None:
        """A socket, when one is at hand."""
        ready = self._ready.setdefault(family, [])
        if len(ready) <= _LOW:
            _ = self._fill(family)
        return ready.pop() if ready else None

    async def take(self, family: int) -> socket.socket:
        """A socket. Raises OSError: the namespace is gone, or no descriptor is left."""
        for _ in range(64):
            found = self.take_nowait(family)
            if found is not None:
                return found
            await asyncio.shield(self._fill(family))
        raise OSError("every socket made for asking resolvers was taken by somebody else")

    async def connected(self, to: Address) -> socket.socket:
        """A TCP connection to a resolver. Raises OSError."""
        family = family_of(to)
        make = functools.partial(doors.asking, family, socket.SOCK_STREAM)
        (made,) = await asyncio.to_thread(self._place.call, make)
        try:
            self._capture.tag_asking(made.fileno())
            await asyncio.get_running_loop().sock_connect(made, (str(to), 53))
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Closes those at hand; those handed out belong to who has them."""
        self._closed = True
        for task in self._filling.values():
            task.cancel()
        for ready in self._ready.values():
            while ready:
                ready.pop().close()

    def _fill(self, family: int) -> asyncio.Task[None]:
        task = self._filling.get(family)
        if task is None or task.done():
            task = asyncio.create_task(self._make(family), name="names: sockets to ask with")
            # Who waits hears of a failure; where nobody does, the next to need a socket will.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._filling[family] = task
        return task

    async def _make(self, family: int) -> None:
        make = functools.partial(doors.asking, family, socket.SOCK_DGRAM, _BATCH)
        made = await asyncio.to_thread(self._place.call, make)
        for one in made:
            self._capture.tag_asking(one.fileno())
        if self._closed:
            for one in made:
                one.close()
            return
        self._ready.setdefault(family, []).extend(made)


def family_of(address: Address) -> int:
    """AF_INET or AF_INET6."""
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
