# SPDX-License-Identifier: Apache-2.0
"""A data plane of dictionaries: what the kernel's maps and rings would hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from undermesh.testing import abi

Structured = NDArray[np.void]

KEYS = {
    "um_series": "um_series_key",
    "um_edges": "um_edge_key",
    "um_owners": "um_owner_key",
    "um_peers": "um_peer_key",
    "um_drops": "um_drop_key",
}
VALUES = {
    "um_series": "um_series",
    "um_edges": "um_edge",
    "um_owners": "um_owner",
    "um_peers": "um_peer",
    "um_drops": "um_drop",
    "um_cgroups": "um_cgroup",
}
RECORDS = {
    "um_flows": "um_flow",
    "um_samples": "um_sample",
    "um_answers": "um_answer",
    "um_processes": "um_process_event",
}
SIZES = dict.fromkeys(VALUES, 4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeProgram:
    name: str = "tap_ingress"
    hook: str = "cgroup_skb/ingress"
    attached: bool = True
    why: str = ""
    verified_insns: int = 1000
    run_cnt: int = 0
    run_time_ns: int = 0
    tag: str = "0123456789abcdef"


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeMap:
    name: str
    type: str = "hash"
    entries: int | None = 0
    max_entries: int = 4096
    bytes: int = 0


class FakePlane:
    """Maps that tests fill with `put`, rings that they fill with `emit`."""

    def __init__(self, *, adopted: bool = False) -> None:
        self.adopted = adopted
        self.retired: Mapping[str, tuple[Structured, Structured]] = {}
        self.failing: set[str] = set()
        """Maps and rings that answer with an error."""
        self.deleted: list[tuple[str, int]] = []
        self.tcp: Structured = np.zeros(0, abi.dtype("um_flow"))
        self.udp: Structured = np.zeros(0, abi.dtype("um_flow"))
        self.counters: dict[str, int] = {"series_full": 0, "samples_limited": 0}
        self._maps: dict[str, dict[bytes, bytes]] = {name: {} for name in VALUES}
        self._rings: dict[str, list[Structured]] = {name: [] for name in RECORDS}

    def put(self, map_name: str, key: Mapping[str, Any] | int, **values: Any) -> None:
        """Writes one entry, field by field."""
        stored = np.zeros(1, self._key(map_name))
        if isinstance(key, int):
            stored[0] = key
        else:
            for name, value in key.items():
                stored[name] = value
        value = np.zeros(1, abi.dtype(VALUES[map_name]))
        for name, part in values.items():
            value[name] = part
        self._maps[map_name][stored.tobytes()] = value.tobytes()

    def emit(self, ring: str, **fields: Any) -> None:
        """Writes one record to a ring."""
        record = np.zeros(1, abi.dtype(RECORDS[ring]))
        for name, part in fields.items():
            record[name] = part
        self._rings[ring].append(record)

    def dtype(self, struct: str) -> np.dtype[np.void]:
        return abi.dtype(struct)

    def enum(self, name: str) -> Mapping[str, int]:
        return abi.enum(name)

    def drop_reasons(self) -> Mapping[int, str]:
        return {3: "NO_SOCKET", 8: "NETFILTER_DROP"}

    def dump(self, name: str) -> tuple[Structured, Structured]:
        self._check(name)
        held = self._maps[name]
        keys = np.frombuffer(b"".join(held), self._key(name)).copy()
        values = np.frombuffer(b"".join(held.values()), abi.dtype(VALUES[name])).copy()
        return keys, values

    def walk(self, name: str) -> Iterator[tuple[Structured, Structured]]:
        keys, values = self.dump(name)
        for start in range(0, len(keys), 2):
            yield keys[start : start + 2], values[start : start + 2]

    def delete(self, name: str, keys: Any) -> int:
        self._check(name)
        before = len(self._maps[name])
        for key in np.asarray(keys, self._key(name)):
            self._maps[name].pop(key.tobytes(), None)
        removed = before - len(self._maps[name])
        self.deleted.append((name, removed))
        return removed

    def insert(
        self, name: str, keys: Any, values: Any, *, exist: Literal["any", "new"] = "any"
    ) -> int:
        self._check(name)
        written = 0
        for key, value in zip(np.asarray(keys, self._key(name)), values, strict=True):
            raw = key.tobytes()
            if exist == "any" or raw not in self._maps[name]:
                self._maps[name][raw] = value.tobytes()
                written += 1
        return written

    def stats(self) -> Mapping[str, int]:
        return self.counters

    def drain(self, ring: str, /, *, limit: int = 65536) -> Structured:
        self._check(ring)
        waiting, self._rings[ring] = self._rings[ring], []
        return np.concatenate([np.zeros(0, abi.dtype(RECORDS[ring])), *waiting])[:limit]

    def sweep_sockets(self) -> Structured:
        self._check("um_sockets")
        return self.tcp

    def sweep_udp(self) -> Structured:
        return self.udp

    def program_info(self) -> Sequence[FakeProgram]:
        return [FakeProgram()]

    def map_info(self) -> Sequence[FakeMap]:
        return [FakeMap(name=name, entries=len(held)) for name, held in self._maps.items()]

    def forget_retired(self) -> None:
        self.retired = {}

    def _key(self, name: str) -> np.dtype[Any]:
        return abi.dtype(KEYS[name]) if name in KEYS else np.dtype("<u8")

    def _check(self, name: str) -> None:
        if name in self.failing:
            raise OSError(f"{name}: the fake was told to fail")
