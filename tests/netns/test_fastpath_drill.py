# SPDX-License-Identifier: Apache-2.0
"""A program cannot tell a joined connection from TCP: each of these holds on both."""

import array
import fcntl
import hashlib
import os
import random
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.netns.hosts import Host, receive
from tests.netns.joining import Served, did, served
from tests.netns.seeing import Seen

SO_LINGER_NOW = struct.pack("ii", 1, 0)
BLOCK = random.Random(7).randbytes(1 << 20)


@pytest.fixture(params=[False, True], ids=["plain", "joined"])
def at(request: pytest.FixtureRequest, a: Host, seen: Seen) -> Iterator[Served]:
    """A listener behind a service, its connections joined or not; and that they were."""
    fast = bool(request.param)
    assert seen.plane.turn_fastpath(on=True) == ""
    before = did(seen)
    with served(seen, a, fast=fast) as found:
        yield found
    joined = did(seen)["joined"] - before["joined"]
    assert bool(joined) == fast


def _in_thread(work: Callable[..., object], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def _send(end: socket.socket, size: int, pieces: tuple[int, ...] = (1 << 16,)) -> None:
    sent, turn = 0, 0
    while sent < size:
        length = min(pieces[turn % len(pieces)], size - sent, len(BLOCK) - sent % len(BLOCK))
        end.sendall(BLOCK[sent % len(BLOCK) : sent % len(BLOCK) + length])
        sent, turn = sent + length, turn + 1


def _digest(size: int) -> str:
    found = hashlib.blake2b()
    for start in range(0, size, len(BLOCK)):
        found.update(BLOCK[: min(len(BLOCK), size - start)])
    return found.hexdigest()


def _read(end: socket.socket, size: int | None = None) -> tuple[int, str]:
    got, found = 0, hashlib.blake2b()
    while size is None or got < size:
        piece = end.recv(1 << 18)
        if not piece:
            break
        found.update(piece)
        got += len(piece)
    return got, found.hexdigest()


def test_both_directions_at_once(at: Served) -> None:
    size = 48 << 20
    near, far = at.pair()
    near.settimeout(60)
    far.settimeout(60)
    read: dict[str, tuple[int, str]] = {}
    threads = [
        _in_thread(_send, near, size),
        _in_thread(_send, far, size, (100, 70000, 1, 1 << 20)),
        _in_thread(lambda: read.update(far=_read(far, size))),
        _in_thread(lambda: read.update(near=_read(near, size))),
    ]
    for thread in threads:
        thread.join(60)
    assert read == {"far": (size, _digest(size)), "near": (size, _digest(size))}


def test_half_close_then_the_rest(at: Served) -> None:
    size = 4 << 20
    near, far = at.pair()
    answers: list[tuple[int, str]] = []

    def serve() -> None:
        answers.append(_read(far))
        _send(far, size)
        far.close()

    thread = _in_thread(serve)
    _send(near, size)
    near.shutdown(socket.SHUT_WR)
    answers.append(_read(near))
    thread.join(10)
    assert answers == [(size, _digest(size))] * 2


def test_a_reset_after_unread_data(at: Served) -> None:
    near, far = at.pair()
    near.send(b"x" * 1000)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SO_LINGER_NOW)
    near.close()
    assert _wait(far)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        while far.recv(4000):
            pass
        raise AssertionError("the reset was not heard")


def test_peek(at: Served) -> None:
    near, far = at.pair()
    near.send(b"abc")
    near.send(b"defg")
    assert _available(far, 7) == b"abcdefg"
    assert far.recv(2, socket.MSG_PEEK) == b"ab"
    assert receive(far, 7) == b"abcdefg"
    near.sendall(b"q" * 100_000)
    assert len(_available(far, 100_000)) == 100_000
    assert receive(far, 100_000) == b"q" * 100_000


def _available(end: socket.socket, size: int) -> bytes:
    """What peeking sees, once that much is there."""
    until = time.monotonic() + 5
    while len(found := end.recv(size, socket.MSG_PEEK)) < size and time.monotonic() < until:
        time.sleep(0.005)
    return found


def test_low_water_mark(at: Served) -> None:
    near, far = at.pair()
    far.setblocking(True)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1000)
    near.send(b"x" * 10)
    poll = select.poll()
    poll.register(far, select.POLLIN)
    assert poll.poll(50) == []
    thread = threading.Timer(0.05, near.send, (b"x" * 2000,))
    thread.start()
    assert len(far.recv(4096)) == 2010
    thread.join()


@pytest.mark.parametrize("echo", [False, True], ids=["one way", "ping-pong"])
def test_edge_triggered_epoll(at: Served, echo: bool) -> None:
    near, far = at.pair()
    rounds, lost = 5000, []

    def side(end: socket.socket, first: bool) -> None:
        end.setblocking(False)
        poll = select.epoll()
        poll.register(end, select.EPOLLIN | select.EPOLLET)
        if first:
            end.send(b"p" * 32)
        got = 0
        while got < rounds * 32:
            if not poll.poll(5):
                lost.append(got)
                return
            while True:
                try:
                    piece = end.recv(4096)
                except BlockingIOError:
                    break
                if not piece:
                    return
                got += len(piece)
                if echo:
                    end.send(piece)

    threads = [_in_thread(side, far, False)]
    if echo:
        threads.append(_in_thread(side, near, True))
    else:
        for _ in range(rounds):
            near.send(b"e" * 32)
    for thread in threads:
        thread.join(30)
    assert lost == []


def test_sendfile(at: Served, tmp_path: object) -> None:
    size = 16 << 20
    path = os.path.join(str(tmp_path), "file")
    with open(path, "w+b") as file:
        file.writelines(BLOCK for _ in range(size // len(BLOCK)))
        file.flush()
        near, far = at.pair()
        thread = _in_thread(near.sendfile, file)
        assert _read(far, size) == (size, _digest(size))
        thread.join(10)


def test_splice_into_the_socket(at: Served) -> None:
    size = 4 << 20
    near, far = at.pair()
    near.setblocking(True)
    out, into = os.pipe()

    def fill() -> None:
        for start in range(0, size, 32768):
            os.write(into, BLOCK[start % len(BLOCK) : start % len(BLOCK) + 32768])

    def move() -> None:
        left = size
        while left:
            left -= os.splice(out, near.fileno(), min(65536, left))

    threads = [_in_thread(fill), _in_thread(move)]
    assert _read(far, size) == (size, _digest(size))
    for thread in threads:
        thread.join(10)
    os.close(out)
    os.close(into)


def test_a_slow_reader_makes_the_sender_wait(at: Served) -> None:
    near, far = at.pair()
    near.setblocking(False)
    taken, found = 0, hashlib.blake2b()
    while taken < 256 << 20:
        try:
            sent = near.send(BLOCK[: 1 << 16])
        except BlockingIOError:
            if not select.select([], [near], [], 0.3)[1]:
                break
            continue
        found.update(BLOCK[:sent])
        taken += sent
    assert taken < 64 << 20
    assert _read(far, taken) == (taken, found.hexdigest())
    assert select.select([], [near], [], 5)[1]


def test_a_sender_that_waits_hears_of_the_close(at: Served) -> None:
    near, far = at.pair()
    near.settimeout(20)
    heard: list[str] = []

    def fill() -> None:
        try:
            for _ in range(1 << 14):
                near.sendall(BLOCK[: 1 << 16])
        except OSError as error:
            heard.append(type(error).__name__)

    thread = _in_thread(fill)
    time.sleep(0.3)
    far.close()
    thread.join(10)
    assert heard in (["ConnectionResetError"], ["BrokenPipeError"])


def test_zerocopy_completes(at: Served) -> None:
    near, far = at.pair()
    near.setsockopt(socket.SOL_SOCKET, 60, 1)  # SO_ZEROCOPY
    near.send(b"z" * 20000, 0x4000000)  # MSG_ZEROCOPY
    assert receive(far, 20000) == b"z" * 20000
    poll = select.poll()
    poll.register(near, 0)
    assert poll.poll(2000)  # POLLERR: the completion waits in the error queue
    assert near.recvmsg(1, 200, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)[1]


def test_out_of_band(at: Served) -> None:
    """The byte comes; that poll says POLLIN, not POLLPRI, of it is documented."""
    near, far = at.pair()
    near.send(b"!", socket.MSG_OOB)
    poll = select.poll()
    poll.register(far, select.POLLPRI | select.POLLIN)
    assert poll.poll(2000)
    far.setblocking(True)
    assert far.recv(1, socket.MSG_OOB) == b"!"


def test_what_is_queued_can_be_asked(at: Served) -> None:
    near, far = at.pair()
    near.send(b"f" * 777)
    assert _wait(far)
    box = array.array("i", [0])
    fcntl.ioctl(far, 0x541B, box)  # FIONREAD
    assert box[0] == 777


def test_a_server_that_speaks_first_and_early_bytes(at: Served) -> None:
    for _ in range(200):
        with at.host.open(socket.AF_INET) as near:
            near.connect(at.address)
            near.send(b"A")
            near.send(b"B")
            far, _ = at.door.accept()
            with far:
                far.send(b"C")
                assert receive(far, 2) == b"AB"
                assert receive(near, 1) == b"C"


def test_a_killed_sender_leaves_a_prefix_in_order(at: Served) -> None:
    for _ in range(5):
        child = os.fork()
        if not child:
            _count_up(at)
        far, _ = at.door.accept()
        far.settimeout(10)
        threading.Timer(0.05, os.kill, (child, 9)).start()
        raw = bytearray()
        try:
            while piece := far.recv(1 << 16):
                raw += piece
        except ConnectionResetError:
            pass
        os.waitpid(child, 0)
        whole = len(raw) // 8
        numbers = struct.unpack(f"{whole}Q", raw[: whole * 8])
        assert numbers == tuple(range(whole))
        assert whole
        far.close()


def _count_up(at: Served) -> None:
    try:
        with at.host.open(socket.AF_INET) as near:
            near.connect(at.address)
            number = 0
            while True:
                near.sendall(struct.pack("1000Q", *range(number, number + 1000)))
                number += 1000
    finally:
        os._exit(0)


def test_a_killed_receiver_resets_its_sender(at: Served) -> None:
    for _ in range(5):
        child = os.fork()
        if not child:
            try:
                with at.host.open(socket.AF_INET) as near:
                    near.connect(at.address)
                    while near.recv(1000):
                        time.sleep(0.001)
            finally:
                os._exit(0)
        far, _ = at.door.accept()
        far.settimeout(10)
        threading.Timer(0.05, os.kill, (child, 9)).start()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while True:
                far.send(BLOCK[: 1 << 16])
        os.waitpid(child, 0)
        far.close()


def _wait(end: socket.socket) -> bool:
    return bool(select.select([end], [], [], 5)[0])
