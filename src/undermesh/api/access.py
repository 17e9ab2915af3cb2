# SPDX-License-Identifier: Apache-2.0
"""Who may ask what.

On the unix socket the kernel says who is calling (SO_PEERCRED, unix(7)): root and the agent's own
user may do all, members of one group may read. On loopback TCP a bearer token (RFC 6750) says it.
"""

import grp
import hmac
import os
import pwd
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum

_SO_PEERGROUPS = 59
"""<asm-generic/socket.h>; supplementary groups of the peer, not in Python's socket module."""
_GROUPS_LIMIT = 65536


class Right(StrEnum):
    """How far a caller may go."""

    ALL = "all"
    READ = "read"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A process at the other end of the unix socket."""

    pid: int
    uid: int
    gids: frozenset[int]


def caller_of(connection: socket.socket) -> Caller:
    """Who connected, as the kernel noted it at that moment."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", raw)
    return Caller(pid=pid, uid=uid, gids=frozenset({gid, *_supplementary(connection)}))


def _supplementary(connection: socket.socket) -> tuple[int, ...]:
    """None where the kernel (before 4.13) cannot say."""
    size = 4 * 64
    while size <= 4 * _GROUPS_LIMIT:
        try:
            raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, size)
        except OSError:
            size *= 16
            continue
        return struct.unpack(f"{len(raw) // 4}I", raw)
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The rules. `group` need not exist; `token` is None where there is no TCP."""

    group: str
    token: str | None
    uid: int = os.geteuid()

    def of_caller(self, caller: Caller) -> Right:
        """What a process on this host may do."""
        if caller.uid in (0, self.uid):
            return Right.ALL
        gid = group_id(self.group)
        if gid is None:
            return Right.NONE
        member = gid in caller.gids or _listed(caller.uid, self.group)
        return Right.READ if member else Right.NONE

    def of_header(self, authorization: bytes) -> Right:
        """What the bearer of a token may do; compared in constant time."""
        scheme, _, shown = authorization.partition(b" ")
        if self.token is None or scheme.lower() != b"bearer":
            return Right.NONE
        same = hmac.compare_digest(shown.strip(), self.token.encode())
        return Right.ALL if same else Right.NONE


def group_id(name: str) -> int | None:
    """A group's number, None when there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _listed(uid: int, group: str) -> bool:
    """Whether the group's entry lists the user: one added after the process began counts too."""
    try:
        return pwd.getpwuid(uid).pw_name in grp.getgrnam(group).gr_mem
    except KeyError:
        return False
