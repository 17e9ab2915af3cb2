# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of this host, and the one place where something is done inside another one.

A thread enters a namespace, makes what belongs there (a socket keeps the namespace it was made in)
and comes back. Nothing here holds a namespace open: one ends with its last process, mount or
socket, and whoever holds a socket gives it up when `scan` no longer lists its namespace.
"""

import contextlib
import ctypes
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from undermesh.model.service import Netns

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_SO_NETNS_COOKIE = 71
_LIMIT = 65536
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """One network namespace. `inode` is what /proc and `lsns` call it, `cookie` what the kernel
    calls it and never reuses; `path` leads to it for as long as what it names lives."""

    cookie: Netns
    inode: int
    path: Path
    home: str = "default"
    """The service namespace of those who live there."""
    inside: "Inside"

    def call(self, do: Callable[[], T], /) -> T:
        """Calls `do` in there and waits for it. Raises OSError, also when it is gone."""
        return self.inside.call(self, do)


class Inside:
    """The thread that goes into other namespaces. One at a time: what is done there is short."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="netns")

    def call(self, namespace: Namespace, do: Callable[[], T]) -> T:
        """Calls `do` there. Raises OSError: ENOENT or ESRCH when the namespace is gone, EPERM when
        it belongs to a user namespace we have no rights in; and what `do` raises."""
        return self._pool.submit(_at, namespace.path, namespace.inode, do).result()

    def cookie(self, path: Path, inode: int) -> Netns:
        """The kernel's number of the namespace at `path`. Raises OSError."""
        return self._pool.submit(_at, path, inode, own_cookie).result()

    def close(self) -> None:
        """Ends the thread."""
        self._pool.shutdown()


class Namespaces:
    """Lists the namespaces processes live in, and those that `ip netns` keeps."""

    def __init__(self, *, proc: Path = Path("/proc"), mounts: Path = Path("/run/netns")) -> None:
        self._proc = proc
        self._mounts = mounts
        self._inside = Inside()
        self._known: dict[int, Netns] = {}
        self._refused: dict[int, str] = {}

    @property
    def refused(self) -> Mapping[int, str]:
        """Namespaces (by inode) that could not be entered, and why."""
        return dict(self._refused)

    def scan(self, homes: Mapping[Netns, str] | None = None) -> tuple[Namespace, ...]:
        """Those there are now, by cookie. About 5 ms per thousand processes; blocking.

        `homes` says in whose service namespace their processes are, "default" unless said.
        """
        paths: dict[int, Path] = {}
        for inode, path in self._paths():
            paths.setdefault(inode, path)
        self._learn(paths)
        found = [
            Namespace(
                cookie=cookie,
                inode=inode,
                path=paths[inode],
                home=(homes or {}).get(cookie, "default"),
                inside=self._inside,
            )
            for inode, cookie in self._known.items()
        ]
        return tuple(sorted(found, key=lambda one: one.cookie))

    def close(self) -> None:
        """Ends the thread that goes into namespaces."""
        self._inside.close()

    def _learn(self, paths: Mapping[int, Path]) -> None:
        """Inode numbers are used again: what is no longer listed is forgotten."""
        self._known = {inode: at for inode, at in self._known.items() if inode in paths}
        self._refused = {inode: why for inode, why in self._refused.items() if inode in paths}
        for inode, path in paths.items():
            if inode in self._known or inode in self._refused:
                continue
            try:
                self._known[inode] = self._inside.cookie(path, inode)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it went while we looked
            except OSError as error:
                self._refused[inode] = error.strerror or str(error)

    def _paths(self) -> Iterator[tuple[int, Path]]:
        with contextlib.suppress(OSError), os.scandir(self._mounts) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    yield entry.stat().st_ino, Path(entry.path)
        with contextlib.suppress(OSError):
            names = [name for name in os.listdir(self._proc) if name.isdigit()]
            for name in names[:_LIMIT]:
                path = f"{self._proc}/{name}/ns/net"
                with contextlib.suppress(OSError, ValueError):
                    # "net:[4026531840]"; a zombie has no namespace
                    inode = int(os.readlink(path)[5:-1])
                    yield inode, Path(path)


def own_cookie() -> Netns:
    """The cookie of the calling thread's namespace. Raises OSError before Linux 5.14."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        raw = any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
    return Netns(struct.unpack("=Q", raw)[0])


def _at(path: Path, inode: int, do: Callable[[], T]) -> T:
    """Runs in the executor's thread."""
    own = f"/proc/self/task/{threading.get_native_id()}/ns/net"
    back = os.open(own, os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(there).st_ino != inode:
                raise FileNotFoundError(2, f"{path} is another network namespace by now")
            _enter(there)
        finally:
            os.close(there)
        try:
            return do()
        finally:
            _enter(back)
    finally:
        os.close(back)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        errno = ctypes.get_errno()
        raise OSError(errno, f"entering a network namespace: {os.strerror(errno)}")
