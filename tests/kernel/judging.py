# SPDX-License-Identifier: Apache-2.0
"""One TCP connection in front of the judge of bpf/tests/judge.bpf.c, fed segment by segment."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from undermesh.kernel import testrun
from undermesh.kernel.loaded import Loaded

Side = Literal["client", "server"]
"""Which end of the connection says something, or is ours."""

CLIENT, SERVER = 256, 257
"""Numbers of the two ends."""

ISN: Mapping[Side, int] = {"client": 0xFFFFFF00, "server": 0x7FFFFFF0}
"""First sequence numbers: both wrap soon, one as unsigned, the other as signed."""

METHODS = ("", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
"""By enum um_method."""

L7 = ("undecided", "tcp", "udp", "http1", "http2", "tls", "dns")
"""By enum um_l7."""

ROLES: Mapping[Side, int] = {"client": 1, "server": 2}
SYNCED = 1
RESET = 4
LOST = 15
TSTAMP = 152
"""Offset of `tstamp` in struct __sk_buff."""


@dataclass(slots=True)
class Series:
    """Requests of one method and status, over all shards."""

    requests: int = 0
    ended: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    duration_ns: int = 0
    ended_ns: int = 0
    bins: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)

    @property
    def counts(self) -> tuple[int, int, int]:
        """(requests, ended, response bytes)."""
        return self.requests, self.ended, self.response_bytes


class Judge:
    """Judges one connection after the other. `loaded` is judge.bpf.o with configured shards."""

    def __init__(self, loaded: Loaded) -> None:
        self._programs = loaded.programs
        self._maps = loaded.maps
        self._headers: dict[tuple[Side, int], bytes] = {}
        self.ours: Side = "client"
        self.version = 4
        self.begin()

    def begin(self, *, ours: Side = "client", version: int = 4, old: bool = False) -> None:
        """A new connection, established, `ours` the end on this host; `old`: backfilled."""
        self.ours, self.version = ours, version
        socket = np.zeros(1, self._maps["test_socket"].spec.value)
        socket["owner"] = CLIENT if ours == "client" else SERVER
        socket["client"], socket["server"], socket["port"] = CLIENT, SERVER, 8080
        socket["role"], socket["opened_ns"] = ROLES[ours], 1
        for side in ("client", "server"):
            stream = socket["sent" if side == ours else "received"]
            if old:
                stream["phase"] = LOST
            else:
                stream["next"], stream["flags"] = ISN[side], SYNCED
        self._maps["test_socket"].insert(0, socket)
        for name in ("um_series", "um_edges"):
            keys, _ = self._maps[name].dump()
            self._maps[name].delete(keys)
        stats = self._maps["um_stats"]
        stats.insert(0, np.zeros(1, stats.value_dtype))

    def say(self, side: Side, offset: int, payload: bytes, *, at_ns: int = 0) -> None:
        """A segment of `side` whose first byte is byte `offset` of what it says.

        `at_ns` is when our own end sent it; what it receives is stamped on arrival.
        """
        header = self._header(side)
        sequence = struct.pack(">I", (ISN[side] + offset) & 0xFFFFFFFF)
        place = 14 + (20 if self.version == 4 else 40) + 4
        packet = header[:place] + sequence + header[place + 4 :] + payload
        name = "judge_sent" if side == self.ours else "judge_received"
        context = bytes(TSTAMP) + struct.pack("<Q", at_ns) if at_ns else b""
        run = testrun.run_program(self._programs[name], data=packet, context=context)
        assert run.retval == 1

    def skip(self, side: Side, offset: int, *, body: int) -> None:
        """Everything of `side` up to `offset` was said, the last `body` bytes of it in a body."""
        socket = self.socket.copy()
        stream = socket["sent" if side == self.ours else "received"]
        assert int(stream["remain"]) >= body
        stream["next"] = (ISN[side] + offset) & 0xFFFFFFFF
        stream["bytes"] += body - 1
        stream["next"] -= 1
        stream["remain"] -= body - 1
        self._maps["test_socket"].insert(0, socket)
        self.say(side, offset - 1, b"x")

    def reset(self) -> None:
        """A reset was seen on the connection; `over` comes next."""
        socket = self.socket.copy()
        socket["flags"] |= RESET
        self._maps["test_socket"].insert(0, socket)

    def over(self) -> None:
        """The connection is closed."""
        testrun.run_program(self._programs["judge_over"], data=bytes(64))

    @property
    def socket(self) -> np.ndarray:
        """What is remembered of the connection, a `struct um_socket`."""
        value = self._maps["test_socket"].lookup(0)
        assert value is not None
        return value

    @property
    def protocol(self) -> str:
        """What it was recognised as."""
        return L7[int(self.socket["l7"])]

    @property
    def desyncs(self) -> int:
        """How often framing was lost, as the connection's edge says it."""
        _, edges = self._maps["um_edges"].dump()
        lost = self.stat("desyncs")
        assert int(edges["desyncs"].sum()) == lost
        return lost

    def stat(self, name: str) -> int:
        """A field of um_stats, over all CPUs."""
        value = self._maps["um_stats"].lookup(0)
        assert value is not None
        return int(value[name].sum())

    def series(self) -> dict[tuple[str, int], Series]:
        """(method, status) → what was counted; status 0 was cut."""
        found: dict[tuple[str, int], Series] = {}
        keys, values = self._maps["um_series"].dump()
        for key, value in zip(keys, values, strict=True):
            assert (int(key["client"]), int(key["server"])) == (CLIENT, SERVER)
            assert (int(key["port"]), L7[int(key["l7"])]) == (8080, "http1")
            name = METHODS[int(key["method"])], int(key["status"])
            into = found.setdefault(name, Series(bins=np.zeros(len(value["bins"]), "u8")))
            for part in ("requests", "ended", "request_bytes", "response_bytes"):
                setattr(into, part, getattr(into, part) + int(value[part]))
            into.duration_ns += int(value["duration_ns"])
            into.ended_ns += int(value["ended_ns"])
            into.bins += value["bins"]
        return found

    def _header(self, side: Side) -> bytes:
        key = (side, self.version)
        if key not in self._headers:
            ports = {"sport": 40000, "dport": 8080}
            if side == "server":
                ports = {"sport": 8080, "dport": 40000}
            ip = (
                IP(src="192.0.2.1", dst="192.0.2.2")
                if self.version == 4
                else IPv6(src="2001:db8::1")
            )
            ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
            packet = ether / ip / TCP(flags="PA", options=[("NOP", None)] * 12, **ports)
            self._headers[key] = bytes(packet)
        return self._headers[key]
