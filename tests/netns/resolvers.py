# SPDX-License-Identifier: Apache-2.0
"""Name servers out there, and a responder in a process of its own that may be killed."""

import asyncio
import contextlib
import ctypes
import os
import select
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dnslib

from tests.netns.hosts import Host, in_netns
from tests.netns.seeing import Seen, eventually
from undermesh.host.netns import Namespaces
from undermesh.kernel.names import NameCapture
from undermesh.model.names import NameEntry
from undermesh.names import Responder

_PR_SET_PDEATHSIG = 1


@dataclass
class Resolver:
    """One name server: says `says` to every A query, and keeps what it was sent, byte for byte."""

    address: str
    says: str
    got: list[bytes] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    def answer(self, data: bytes) -> list[bytes]:
        """What to send back: three messages for a zone transfer, what is no DNS turned round."""
        self.got.append(data)
        try:
            query = dnslib.DNSRecord.parse(data)
        except dnslib.DNSError:
            replies = [data[::-1]]
        else:
            reply = query.reply(ra=1, aa=0)
            kind = dnslib.QTYPE[query.q.qtype]
            if kind == "A":
                reply.add_answer(*dnslib.RR.fromZone(f"{query.q.qname} 77 A {self.says}"))
            # dnslib writes no cookie; these bytes no responder of ours would write.
            replies = [bytes(reply.pack())] * (3 if kind == "AXFR" else 1)
        self.sent += replies
        return replies


@contextlib.contextmanager
def resolving(host: Host, *resolvers: Resolver) -> Iterator[None]:
    """They answer by UDP and TCP at their addresses on `host`."""
    stop, wake = os.pipe()
    doors: dict[int, tuple[socket.socket, Resolver]] = {}
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, stop)
        for resolver in resolvers:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                family = socket.AF_INET6 if ":" in resolver.address else socket.AF_INET
                with in_netns(host.netns):
                    door = undo.enter_context(socket.socket(family, kind))
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                door.bind((resolver.address, 53))
                if kind == socket.SOCK_STREAM:
                    door.listen(16)
                doors[door.fileno()] = door, resolver
        thread = threading.Thread(target=_serve, args=(doors, stop))
        thread.start()
        try:
            yield
        finally:
            os.close(wake)
            thread.join()


def _serve(doors: dict[int, tuple[socket.socket, Resolver]], stop: int) -> None:
    while True:
        ready, _, _ = select.select([*doors, stop], [], [])
        if stop in ready:
            return
        for one in ready:
            door, resolver = doors[one]
            if door.type == socket.SOCK_DGRAM:
                data, peer = door.recvfrom(65535)
                for reply in resolver.answer(data):
                    door.sendto(reply, peer)
            else:
                _serve_stream(door.accept()[0], resolver)


def _serve_stream(conversation: socket.socket, resolver: Resolver) -> None:
    with conversation:
        conversation.settimeout(5)
        while head := conversation.recv(2, socket.MSG_WAITALL):
            data = conversation.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
            for reply in resolver.answer(data):
                conversation.sendall(len(reply).to_bytes(2, "big") + reply)


@contextlib.contextmanager
def responding(
    seen: Seen, scope: Path, hosts: tuple[Host, ...], entries: tuple[NameEntry, ...]
) -> Iterator[int]:
    """A responder in a child of ours, in the namespaces of `hosts`; its process id."""
    capture = NameCapture(seen.plane)
    cgroup = scope / f"responder-{uuid.uuid4().hex[:6]}"
    cgroup.mkdir()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        status = 1
        try:
            (cgroup / "cgroup.procs").write_text("0")
            if os.getppid() == parent:
                _respond(capture, hosts, entries)
            status = 0
        finally:
            os._exit(status)
    try:
        eventually(lambda: len(capture.published()) == len(hosts))
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        eventually(lambda: not (cgroup / "cgroup.procs").read_text())
        cgroup.rmdir()


def _respond(capture: NameCapture, hosts: tuple[Host, ...], entries: tuple[NameEntry, ...]) -> None:
    """In the child."""
    wanted = {os.stat(f"/run/netns/{host.netns}").st_ino for host in hosts}
    places = [place for place in Namespaces().scan() if place.inode in wanted]
    responder = Responder(capture=capture)
    responder.set_names(entries)
    responder.set_namespaces(places)

    async def main() -> None:
        task = asyncio.create_task(responder.run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
