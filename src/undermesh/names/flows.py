# SPDX-License-Identifier: Apache-2.0
"""UDP queries that are not ours: passed to the resolver that was asked, and its answers back.

A conversation is one address of an asker with one resolver, and has a socket of its own: bytes go
both ways untouched, whatever they are.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from undermesh.model.service import Address
from undermesh.names import wire
from undermesh.names.answers import Rcode
from undermesh.names.askers import Askers, family_of
from undermesh.names.desk import Desk

_LINGER = 256  # conversations that may wait for a further query after their last answer
_AT_ONCE = 32
_EARLY = 64

Send = Callable[[bytes], None]


@dataclass(slots=True, kw_only=True)
class Flow:
    """One conversation. `asked` holds queries without an answer by id; `early` those that came
    before there was a socket."""

    key: object
    send: Send
    to: Address
    until: float
    sock: socket.socket | None = None
    asked: dict[bytes, bytes] = field(default_factory=dict)
    early: list[bytes] = field(default_factory=list)
    opaque: bool = False


class Flows:
    """The conversations of one station."""

    def __init__(self, desk: Desk, askers: Askers) -> None:
        self._desk = desk
        self._askers = askers
        self._flows: dict[object, Flow] = {}
        self._opening: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._flows)

    @property
    def waiting(self) -> bool:
        """Whether some resolver still owes an answer."""
        return any(flow.asked for flow in self._flows.values())

    def forward(self, key: object, data: bytes, *, to: Address, send: Send) -> None:
        """Passes a datagram on; `send` is how its answers go back."""
        flow = self._flows.get(key)
        if flow is None:
            if self._desk.flows >= self._desk.limits.flows:
                self._desk.counts.full += 1
                return
            flow = Flow(key=key, send=send, to=to, until=0.0)
            self._flows[key] = flow
            self._desk.flows += 1
            self._open(flow)
        self._note(flow, data)
        if flow.sock is None:
            if len(flow.early) < _EARLY:
                flow.early.append(data)
            else:
                self._desk.counts.full += 1
            return
        self._pass_on(flow, data)

    def sweep(self, now: float) -> None:
        """Ends conversations whose time is over."""
        for flow in [flow for flow in self._flows.values() if flow.until <= now]:
            if flow.asked and not flow.opaque:
                self._desk.counts.timeouts += 1
            self._end(flow)

    def close(self) -> None:
        """Ends all of them."""
        for task in self._opening:
            task.cancel()
        for flow in list(self._flows.values()):
            self._end(flow)

    def _note(self, flow: Flow, data: bytes) -> None:
        limits = self._desk.limits
        plain = len(data) >= 12 and not data[2] & 0x80
        flow.opaque = flow.opaque or not plain
        if plain and len(flow.asked) < 64:
            flow.asked[data[:2]] = data
        flow.until = time.monotonic() + (limits.opaque if flow.opaque else limits.answer_within)

    def _open(self, flow: Flow) -> None:
        sock = self._askers.take_nowait(family_of(flow.to))
        if sock is not None:
            self._connect(flow, sock)
            return
        task = asyncio.create_task(self._open_later(flow), name="names: forwarding")
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open_later(self, flow: Flow) -> None:
        try:
            sock = await self._askers.take(family_of(flow.to))
        except OSError:
            self._unreachable(flow)
            return
        if self._flows.get(flow.key) is not flow:  # its time was over meanwhile
            sock.close()
            return
        self._connect(flow, sock)
        early, flow.early = flow.early, []
        for data in early:
            if flow.sock is not None:
                self._pass_on(flow, data)

    def _connect(self, flow: Flow, sock: socket.socket) -> None:
        try:
            sock.connect((str(flow.to), 53))
        except OSError:
            sock.close()
            # The asker hears of it once it has been noted what was asked.
            asyncio.get_running_loop().call_soon(self._unreachable, flow)
            return
        flow.sock = sock
        asyncio.get_running_loop().add_reader(sock, self._readable, flow)

    def _pass_on(self, flow: Flow, data: bytes) -> None:
        if flow.sock is None:
            return
        try:
            flow.sock.send(data)
            self._desk.counts.forwarded += 1
        except BlockingIOError:
            self._desk.counts.full += 1
        except OSError:
            self._unreachable(flow)

    def _readable(self, flow: Flow) -> None:
        for _ in range(_AT_ONCE):
            if flow.sock is None:
                return
            try:
                data = flow.sock.recv(65535)
            except BlockingIOError:
                return
            except OSError:  # the resolver's host said that nobody listens there
                self._unreachable(flow)
                return
            flow.asked.pop(data[:2], None)
            self._desk.counts.returned += 1
            flow.send(data)
            if not flow.asked and not flow.opaque and len(self._flows) > _LINGER:
                self._end(flow)

    def _unreachable(self, flow: Flow) -> None:
        """Nobody answers there: SERVFAIL makes an asker try its next resolver at once."""
        self._desk.counts.unreachable += 1
        for data in flow.asked.values():
            query = wire.parse(data)
            if query is not None:
                flow.send(wire.plain(query, Rcode.SERVFAIL))
        self._end(flow)

    def _end(self, flow: Flow) -> None:
        if self._flows.get(flow.key) is not flow:
            return
        del self._flows[flow.key]
        self._desk.flows -= 1
        if flow.sock is not None:
            asyncio.get_running_loop().remove_reader(flow.sock)
            flow.sock.close()
            flow.sock = None
