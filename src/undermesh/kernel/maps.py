# SPDX-License-Identifier: Apache-2.0
"""Typed BPF maps: single elements, whole batches, per-CPU values, fill and memory."""

import errno as errnos
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from undermesh.kernel import errors, kinds, libbpf
from undermesh.kernel.kinds import MapType
from undermesh.kernel.libbpf import ffi, lib

Exist = Literal["any", "new", "old"]
_FLAGS: dict[Exist, int] = {"any": 0, "new": 1, "old": 2}  # BPF_ANY, BPF_NOEXIST, BPF_EXIST
_CHUNK_BYTES = 4 << 20
"""Values copied per batch call: large enough to make the call cheap, small enough for the agent."""

_NO_BATCH = (errors.ENOTSUPP, errnos.EOPNOTSUPP, errnos.EINVAL)


_PER_CPU = (MapType.PERCPU_HASH, MapType.PERCPU_ARRAY, MapType.LRU_PERCPU_HASH)
_ARRAYS = (MapType.ARRAY, MapType.PERCPU_ARRAY)
COUNTABLE = (MapType.HASH, MapType.PERCPU_HASH, MapType.LRU_HASH, MapType.LPM_TRIE, *_ARRAYS)
"""Types whose elements can be enumerated from user space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSpec:
    """What a map is, before and after it exists. `layout` is the hash of key and value layouts."""

    name: str
    type: MapType
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    key: np.dtype
    value: np.dtype
    layout: int

    @property
    def per_cpu(self) -> bool:
        """Whether each element has one value per possible CPU."""
        return self.type in _PER_CPU


@dataclass(frozen=True, slots=True, kw_only=True)
class MapInfo:
    """A map as `status` shows it. `entries` is None where elements cannot be counted."""

    name: str
    type: str
    entries: int | None
    max_entries: int
    bytes: int


class Map:
    """A live map. Owns its descriptor; the kernel keeps the map while a pin or a program does."""

    def __init__(self, *, fd: int, spec: MapSpec) -> None:
        self.fd = fd
        self.spec = spec
        value = spec.value
        if spec.per_cpu:
            # The kernel rounds each CPU's value up to 8 bytes (Documentation/bpf/map_hash.rst).
            value = _padded(value, 8)
            self.value_dtype = np.dtype((value, (libbpf.possible_cpus(),)))
        else:
            self.value_dtype = value
        self._chunk = max(16, min(16384, _CHUNK_BYTES // max(1, self.value_dtype.itemsize)))
        self._batch = True

    @property
    def name(self) -> str:
        """Its name in the object that declares it."""
        return self.spec.name

    def lookup(self, key: object) -> np.ndarray | None:
        """The value under `key` as a 0-d array (per-CPU: one element per CPU), None when absent."""
        keys = self._keys(key)
        value = np.zeros(1, self.value_dtype)
        answer = int(lib().bpf_map_lookup_elem(self.fd, _in(keys), _out(value)))
        if answer == -errnos.ENOENT:
            return None
        libbpf.check(answer, f"looking up an entry of {self.name}")
        return value[0] if self.spec.per_cpu else value.reshape(())

    def insert(self, keys: object, values: object, *, exist: Exist = "any") -> int:
        """Writes entries; returns how many. `exist`: "new" leaves existing ones, "old" absent ones.

        Scalars or arrays in, broadcast as numpy assignment does. Raises MapFull with the number
        that went in, NotPermitted, CallRefused.
        """
        keys = self._keys(keys)
        array = np.zeros(len(keys), self.value_dtype)
        array[...] = values
        opts = libbpf.options("bpf_map_batch_opts")
        opts.elem_flags = _FLAGS[exist]

        def some(start: int, count: Any) -> int:
            if self._batch:
                batch = lib().bpf_map_update_batch
                return int(batch(self.fd, _in(keys[start:]), _in(array[start:]), count, opts))
            one, entry = lib().bpf_map_update_elem, slice(start, start + 1)
            return int(one(self.fd, _in(keys[entry]), _in(array[entry]), opts.elem_flags))

        return self._each(len(keys), some, doing=f"writing {len(keys)} entries into {self.name}")

    def delete(self, keys: object) -> int:
        """Removes entries; returns how many there were. Absent keys are no error."""
        keys = self._keys(keys)
        opts = libbpf.options("bpf_map_batch_opts")

        def some(start: int, count: Any) -> int:
            if self._batch:
                return int(lib().bpf_map_delete_batch(self.fd, _in(keys[start:]), count, opts))
            return int(lib().bpf_map_delete_elem(self.fd, _in(keys[start : start + 1])))

        return self._each(len(keys), some, doing=f"deleting entries of {self.name}")

    def walk(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(keys, values) chunk by chunk, each its own memory; values of per-CPU maps are (n, CPUs).

        Entries that come or go meanwhile may or may not be seen, none is seen twice in a hash map
        that is read in batches.
        """
        if self._batch:
            yield from self._walk_batches()
        if not self._batch:
            yield from self._walk_keys()

    def dump(self) -> tuple[np.ndarray, np.ndarray]:
        """All (keys, values)."""
        chunks = list(self.walk())
        if len(chunks) == 1:
            return chunks[0]
        if not chunks:
            return np.empty(0, self.spec.key), np.empty(0, self.value_dtype)
        return np.concatenate([k for k, _ in chunks]), np.concatenate([v for _, v in chunks])

    def entries(self) -> int | None:
        """How many elements it holds; None for types that cannot be enumerated."""
        if self.spec.type in _ARRAYS:
            return self.spec.max_entries
        if self.spec.type not in COUNTABLE:
            return None
        return sum(len(keys) for keys, _ in self.walk())

    def memory(self) -> int:
        """Bytes of kernel memory the kernel charges for it (`memlock` in fdinfo)."""
        with open(f"/proc/self/fdinfo/{self.fd}", encoding="ascii") as file:
            for line in file:
                if line.startswith("memlock:"):
                    return int(line.split()[1])
        return 0

    def info(self) -> MapInfo:
        """Its fill and its cost."""
        return MapInfo(
            name=self.name,
            type=kinds.label(MapType, self.spec.type),
            entries=self.entries(),
            max_entries=self.spec.max_entries,
            bytes=self.memory(),
        )

    def id(self) -> int:
        """The kernel's number for it."""
        return int(libbpf.info("bpf_map_info", self.fd).id)

    def close(self) -> None:
        """Gives the descriptor back. Closing twice is allowed."""
        fd, self.fd = self.fd, -1
        libbpf.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _each(self, total: int, some: Callable[[int, Any], int], *, doing: str) -> int:
        """Calls `some` from entry to entry until all are through; returns how many it took.

        A batch stops at the first entry that is refused: one that exists (or does not) is stepped
        over, any other answer is raised. Falls back to single calls where there are no batches.
        """
        done = taken = 0
        count = ffi.new("__u32 *")
        while done < total:
            count[0] = total - done if self._batch else 1
            answer = some(done, count)
            if self._batch and -answer in _NO_BATCH and taken == done == 0:
                self._batch = False
                continue
            through = int(count[0]) if self._batch or answer == 0 else 0
            done, taken = done + through, taken + through
            if answer in (-errnos.E2BIG, -errnos.ENOSPC):
                said = f"the map holds its {self.spec.max_entries} entries already"
                raise errors.MapFull(doing, answer=said, taken=taken, errno=-answer)
            if answer in (-errnos.EEXIST, -errnos.ENOENT):
                done += 1
            else:
                libbpf.check(answer, doing)
        return taken

    def _walk_batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        opts = libbpf.options("bpf_map_batch_opts")
        count = ffi.new("__u32 *")
        # The position is opaque: a bucket number for hashes, a key for tries.
        token, position = ffi.new("char[]", max(8, self.spec.key_size)), libbpf.NULL
        chunk = self._chunk
        while True:
            keys, values = np.empty(chunk, self.spec.key), np.empty(chunk, self.value_dtype)
            count[0] = chunk
            answer = int(
                lib().bpf_map_lookup_batch(
                    self.fd, position, token, _out(keys), _out(values), count, opts
                )
            )
            if answer == -errnos.ENOSPC:  # one bucket holds more than a chunk: nothing was read
                chunk *= 2
                continue
            if -answer in _NO_BATCH and position == libbpf.NULL:
                self._batch = False
                return
            if answer not in (0, -errnos.ENOENT):
                libbpf.check(answer, f"reading {self.name}")
            if used := int(count[0]):
                yield _cut(keys, used), _cut(values, used)
            if answer == -errnos.ENOENT:
                return
            position = token

    def _walk_keys(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Key by key, for types without batches.

        A key deleted meanwhile restarts the kernel's walk: what was seen is remembered and the
        number of steps is bounded.
        """
        key, following = np.zeros(1, self.spec.key), np.zeros(1, self.spec.key)
        seen: dict[bytes, np.ndarray] = {}
        start = libbpf.NULL
        for _ in range(2 * self.spec.max_entries + 1):
            answer = int(lib().bpf_map_get_next_key(self.fd, start, _out(following)))
            if answer == -errnos.ENOENT:
                break
            libbpf.check(answer, f"reading {self.name}")
            key[:] = following
            start = _in(key)
            value = np.zeros(1, self.value_dtype)
            if lib().bpf_map_lookup_elem(self.fd, start, _out(value)) == 0:
                seen[key.tobytes()] = value
        if seen:
            keys = np.frombuffer(b"".join(seen), self.spec.key)
            yield keys, np.concatenate(list(seen.values()))

    def _keys(self, keys: object) -> np.ndarray:
        array = np.ascontiguousarray(np.atleast_1d(np.asarray(keys, self.spec.key)))
        return array.reshape(-1)


def reopened(fd: int, spec: MapSpec) -> Map:
    """A Map over a duplicate of `fd`."""
    return Map(fd=os.dup(fd), spec=spec)


def _cut(array: np.ndarray, used: int) -> np.ndarray:
    """The first `used` elements without holding on to a much larger buffer."""
    return array if used == len(array) else array[:used].copy()


def _padded(dtype: np.dtype, multiple: int) -> np.dtype:
    size = -(-dtype.itemsize // multiple) * multiple
    if size == dtype.itemsize:
        return dtype
    return np.dtype({"names": ["value"], "formats": [dtype], "offsets": [0], "itemsize": size})


def _in(array: np.ndarray) -> Any:
    return ffi.from_buffer(array)


def _out(array: np.ndarray) -> Any:
    return ffi.from_buffer(array, require_writable=True)
