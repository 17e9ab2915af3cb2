# SPDX-License-Identifier: Apache-2.0
"""The responder in one network namespace: its doors, and what comes in by them."""

import asyncio
import contextlib
import functools
import ipaddress
import socket
import time
from collections.abc import Coroutine
from typing import Any

from undermesh.model.service import Address
from undermesh.names import aliases, doors, wire
from undermesh.names.answers import Answer, Chase, NotOurs
from undermesh.names.askers import Askers
from undermesh.names.desk import Desk
from undermesh.names.doors import IP_PKTINFO, Doors
from undermesh.names.flows import Flows, Send
from undermesh.names.places import Place
from undermesh.names.streams import Conversation

_AT_ONCE = 64
_CONTROL = socket.CMSG_SPACE(12)  # struct in_pktinfo: interface, local address, destination
_PREFIX = b"\x7f\x35"  # 127.53


class Station:
    """Serves one namespace. Made by `open`, ended by `close`."""

    def __init__(self, desk: Desk, place: Place, held: Doors) -> None:
        self.place = place
        self._desk = desk
        self._doors = held
        self._port = desk.capture.port
        self._askers = Askers(place, desk.capture)
        self._flows = Flows(desk, self._askers)
        self._home = place.home
        label = place.home.encode("ascii", "replace")[:63]
        self._home_label = bytes([len(label)]) + label
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = 0

    @classmethod
    async def open(cls, desk: Desk, place: Place) -> "Station":
        """Makes its sockets and begins. Raises OSError: no such namespace, or the port taken."""
        port = desk.capture.port
        held = await asyncio.to_thread(place.call, functools.partial(doors.open_doors, port))
        station = cls(desk, place, held)
        try:
            await station._begin()
        except BaseException:
            station.close()
            raise
        return station

    async def reach(self, ports6: int) -> int | None:
        """Opens doors on ::1 up to `ports6`; how many there are, or None while `lo` is down."""
        if not self._doors.loopback():
            return None
        while len(self._doors.six) < ports6:
            port = self._port + 1 + len(self._doors.six)
            try:
                pair = await asyncio.to_thread(
                    self.place.call, functools.partial(doors.open_six, port)
                )
            except OSError:
                break  # no IPv6 here, or somebody has that port: IPv6 resolvers are left alone
            slot = self._desk.capture.slots + len(self._doors.six)
            self._doors.six.append(pair)
            for one in pair:
                self._desk.capture.tag_answering(one.fileno(), self.place.cookie)
            asyncio.get_running_loop().add_reader(pair[0], self._readable6, pair[0], slot)
            await self._listen(pair[1], slot)
        return len(self._doors.six)

    def sweep(self) -> None:
        """Ends what has waited for too long."""
        self._flows.sweep(time.monotonic())

    @property
    def waiting(self) -> bool:
        """Whether somebody still waits for an answer."""
        return self._flows.waiting or bool(self._tasks)

    def close(self) -> None:
        """Ends everything. Askers that hold a connection get a reset, and ask again."""
        loop = asyncio.get_running_loop()
        for one in (self._doors.udp, *(udp for udp, _ in self._doors.six)):
            loop.remove_reader(one)
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        self._flows.close()
        self._askers.close()
        self._doors.close()

    async def _begin(self) -> None:
        for one in (self._doors.udp, self._doors.tcp):
            self._desk.capture.tag_answering(one.fileno(), self.place.cookie)
        asyncio.get_running_loop().add_reader(self._doors.udp, self._readable)
        await self._listen(self._doors.tcp, None)

    async def _listen(self, sock: socket.socket, slot: int | None) -> None:
        accept = functools.partial(self._accepted, slot)
        self._servers.append(await asyncio.start_server(accept, sock=sock))

    def _readable(self) -> None:
        """Answers from the address that was asked: connected sockets take no other."""
        sock = self._doors.udp
        quick, home = self._desk.names[1], self._home_label
        for _ in range(_AT_ONCE):
            try:
                data, control, _, peer = sock.recvmsg(65535, _CONTROL)
            except BlockingIOError:
                return
            except OSError:
                continue  # an earlier answer could not be delivered; the kernel says so once
            to = control[0][2][8:12] if control else b""
            if to[:2] != _PREFIX:
                self._desk.counts.strangers += 1
                continue
            answer = quick.answer(data, home)
            if answer is not None:
                self._desk.counts.answered += 1
                self._send4(to, peer, answer)
                continue
            slot = int.from_bytes(to[2:], "big")
            self._received((to, peer), data, slot, functools.partial(self._send4, to, peer))

    def _readable6(self, sock: socket.socket, slot: int) -> None:
        quick, home = self._desk.names[1], self._home_label
        for _ in range(_AT_ONCE):
            try:
                data, peer = sock.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError:
                continue
            answer = quick.answer(data, home)
            if answer is not None:
                self._desk.counts.answered += 1
                self._send6(sock, peer, answer)
                continue
            self._received((slot, peer), data, slot, functools.partial(self._send6, sock, peer))

    def _received(self, key: object, data: bytes, slot: int, send: Send) -> None:
        to = self._desk.capture.resolver(slot)
        if to is None:
            self._desk.counts.strangers += 1
            return
        query = wire.parse(data)
        found = self._outcome(query) if query is not None else None
        if query is None or found is None:
            self._flows.forward(key, data, to=to, send=send)
        elif isinstance(found, Chase):
            self._spawn(self._chase(query, found, to, send))
        else:
            send(self._rendered(query, found, limit=query.size))

    def _outcome(self, query: wire.Query) -> Answer | Chase | None:
        zone = self._desk.names[0]
        asked = wire.asked(query, home=self._home, netns=self.place.cookie)
        found = zone.ask(asked)
        return None if isinstance(found, NotOurs) else found

    def _rendered(self, query: wire.Query, found: Answer, *, limit: int) -> bytes:
        self._turn += 1
        self._desk.counts.answered += 1
        return wire.render(query, found, limit=limit, turn=self._turn)

    async def _chase(self, query: wire.Query, found: Chase, to: Address, send: Send) -> None:
        send(await aliases.chase(self._desk, self._askers, query, found, to=to, stream=False))
        self._desk.counts.answered += 1

    def _send4(self, source: bytes, peer: Any, data: bytes) -> None:
        control = [(socket.IPPROTO_IP, IP_PKTINFO, bytes(4) + source + bytes(4))]
        try:
            self._doors.udp.sendmsg([data], control, 0, peer)
        except OSError:
            self._desk.counts.unsent += 1

    def _send6(self, sock: socket.socket, peer: Any, data: bytes) -> None:
        try:
            sock.sendto(data, peer)
        except OSError:
            self._desk.counts.unsent += 1

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="names: answering")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accepted(
        self, slot: int | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if slot is None:
            slot = _slot_of(writer.get_extra_info("sockname"))
        to = None if slot is None else self._desk.capture.resolver(slot)
        if to is None:
            self._desk.counts.strangers += 1
            writer.close()
        elif self._desk.connections >= self._desk.limits.connections:
            self._desk.counts.full += 1
            writer.close()
        else:
            self._spawn(self._converse(reader, writer, to))

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: Address
    ) -> None:
        async def respond(message: bytes) -> bytes | None:
            query = wire.parse(message)
            found = self._outcome(query) if query is not None else None
            if query is None or found is None:
                return None
            if isinstance(found, Answer):
                return self._rendered(query, found, limit=wire.STREAM_LIMIT)
            return await aliases.chase(self._desk, self._askers, query, found, to=to, stream=True)

        self._desk.connections += 1
        try:
            await Conversation(self._desk, self._askers, (reader, writer), to=to).hold(respond)
        finally:
            self._desk.connections -= 1


def _slot_of(sockname: Any) -> int | None:
    """The slot an accepted connection was meant for; None when it came to another address."""
    with contextlib.suppress(TypeError, ValueError, IndexError):
        packed = ipaddress.IPv4Address(sockname[0]).packed
        if packed[:2] == _PREFIX:
            return int.from_bytes(packed[2:], "big")
    return None
