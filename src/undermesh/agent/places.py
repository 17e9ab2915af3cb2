# SPDX-License-Identifier: Apache-2.0
"""The network namespaces of this host, as steering, checks and names share them."""

import socket
import time

from undermesh.host.netns import Namespace, Namespaces
from undermesh.model.service import Netns

_FRESH_SECONDS = 0.5


class Places:
    """Network namespaces, scanned at most a few times a second."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._scanned = 0.0
        self._found: tuple[Namespace, ...] = ()

    def all(self) -> tuple[Namespace, ...]:
        """Those there are."""
        now = time.monotonic()
        if not self._found or now - self._scanned >= _FRESH_SECONDS:
            self._scanned = now
            self._found = self._namespaces.scan()
        return self._found

    def socket_in(self, netns: Netns, family: socket.AddressFamily) -> socket.socket:
        """A TCP socket made inside a network namespace. Raises OSError."""
        for place in self.all():
            if place.cookie == netns:
                return place.call(
                    lambda: socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                )
        raise FileNotFoundError(2, f"no network namespace {netns}")

    def close(self) -> None:
        """Ends the thread that goes into namespaces."""
        self._namespaces.close()
