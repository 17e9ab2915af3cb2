# SPDX-License-Identifier: Apache-2.0
"""What outlives the agent: maps and links of one instance, pinned in the BPF file system.

    <bpffs>/undermesh/<instance>/          locked by the agent that runs (flock on the directory)
        v<N>/                              N: version of the whole layout (bpf/abi/base.h)
            meta                           map name → hash of its layout
            maps/<map>                     in use
            links/<program>                what keeps the programs attached
            retired/<map>-<k>              replaced by a later layout, contents not yet folded in

Names have no dots: the BPF file system reserves them.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from undermesh.kernel import errors, fastpath, libbpf
from undermesh.kernel.kinds import MapType
from undermesh.kernel.libbpf import ffi, lib
from undermesh.kernel.links import Link
from undermesh.kernel.maps import Map, MapSpec

_INSTANCE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_META = MapSpec(
    name="meta",
    type=MapType.HASH,
    key_size=16,
    value_size=8,
    max_entries=256,
    flags=0,
    key=np.dtype("S16"),
    value=np.dtype("<u8"),
    layout=0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What `remove` took away: names of links and maps, directories."""

    links: tuple[str, ...]
    maps: tuple[str, ...]
    directories: tuple[Path, ...]


class Lock:
    """Holds an instance for this process; the kernel lets go when the process dies, however."""

    def __init__(self, *, bpffs: Path, instance: str) -> None:
        """Takes the lock.

        Raises InstanceBusy, NotPermitted, OperatorError for a name that cannot be one.
        """
        self.root = root_of(bpffs, instance)
        doing = f"taking hold of instance {instance} ({self.root})"
        while True:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                self._fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:  # removed in between
                continue
            except OSError as error:
                raise errors.refused(doing, error.errno or 0) from error
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(self._fd)
                raise errors.InstanceBusy(
                    doing,
                    answer="another agent of this instance is running",
                    advice="stop it, or choose another name with --instance",
                ) from error
            if self._still_there():
                return
            os.close(self._fd)

    def release(self) -> None:
        """Lets go. Twice is allowed."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            fcntl.flock(fd, fcntl.LOCK_UN)  # also for a forked child that still has the descriptor
            os.close(fd)

    def _still_there(self) -> bool:
        """False when `remove` took the directory away between opening and locking it."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self.root))
        except FileNotFoundError:
            return False


class Pins:
    """The pins of one instance and layout version. Its owner holds the instance's Lock."""

    def __init__(self, *, root: Path, version: int) -> None:
        """Makes the directories that are missing. Raises NotPermitted, CallRefused."""
        self.path = root / f"v{version}"
        self._links = self.path / "links"
        self._maps = self.path / "maps"
        self._retired = self.path / "retired"
        for directory in (self._links, self._maps, self._retired):
            directory.mkdir(parents=True, exist_ok=True)
        for stray in self.path.glob("*-new"):  # of an agent that was killed inside pin_link
            stray.unlink()
        self._meta = self._open_meta()

    def maps(self) -> tuple[str, ...]:
        """Names of the pinned maps."""
        return _names(self._maps)

    def links(self) -> tuple[str, ...]:
        """Names of the programs whose links are pinned."""
        return _names(self._links)

    def retired(self) -> tuple[tuple[str, Path], ...]:
        """(map name, path) of replaced maps, oldest first."""
        found = [(name.rpartition("-"), name) for name in _names(self._retired)]
        found.sort(key=lambda item: (item[0][0], int(item[0][2])))
        return tuple((parts[0], self._retired / name) for parts, name in found)

    def everything(self) -> tuple[tuple[str, Path], ...]:
        """(map name, path) of every map, retired ones included."""
        return (*self.retired(), *((name, self._maps / name) for name in self.maps()))

    def layout(self, name: str) -> int | None:
        """The layout hash recorded for a map; None when there is none."""
        value = self._meta.lookup(name.encode())
        return None if value is None else int(value)

    def note(self, name: str, layout: int) -> None:
        """Records a hash under a name of at most 16 bytes."""
        self._meta.insert(name.encode(), layout)

    def map_fd(self, name: str) -> int | None:
        """A descriptor of the pinned map, None when there is no such pin."""
        return open_pin(self._maps / name)

    def link(self, name: str) -> Link | None:
        """The pinned link of a program, None when there is no such pin."""
        fd = open_pin(self._links / name)
        return None if fd is None else Link(fd=fd, name=name)

    def pin_map(self, map_: Map) -> None:
        """Pins a map and records its layout: first the record, so that a pin always has one."""
        self.note(map_.name, map_.spec.layout)
        _pin(map_.fd, self._maps / map_.name)

    def pin_link(self, link: Link) -> None:
        """Pins a link, in place of the one of that name if there is one.

        The new pin is made beside the old one and renamed over it: at every moment there is one.
        """
        path = self._links / link.name
        if not path.exists():
            _pin(link.fd, path)
            return
        beside = self.path / f"{link.name}-new"
        beside.unlink(missing_ok=True)
        _pin(link.fd, beside)
        beside.rename(path)

    def unpin_link(self, name: str) -> None:
        """Takes a link's pin away; it detaches when nobody else holds it."""
        (self._links / name).unlink(missing_ok=True)

    def retire_map(self, name: str) -> None:
        """Moves a map's pin aside: its contents are to be folded in and forgotten."""
        k = 0
        while (path := self._retired / f"{name}-{k}").exists():
            k += 1
        (self._maps / name).rename(path)

    def close(self) -> None:
        """Gives its descriptor back."""
        self._meta.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_meta(self) -> Map:
        path = self.path / "meta"
        fd = open_pin(path)
        if fd is None:
            opts = libbpf.options("bpf_map_create_opts")
            name = ffi.new("char[]", b"um_meta")
            create = lib().bpf_map_create
            answer = int(create(int(_META.type), name, 16, 8, _META.max_entries, opts))
            fd = libbpf.check(answer, "creating the map of layouts")
            _pin(fd, path)
        return Map(fd=fd, spec=_META)


def root_of(bpffs: Path, instance: str) -> Path:
    """Where an instance's pins are. Raises OperatorError for a name that cannot be one."""
    if not _INSTANCE.fullmatch(instance):
        raise errors.OperatorError(
            f"looking for instance {instance!r}",
            answer="that is no name for one",
            advice="use up to 32 lower-case letters, digits and dashes, not starting with a dash",
        )
    return bpffs / "undermesh" / instance


def versions(root: Path) -> tuple[int, ...]:
    """Layout versions an instance has pins of, ascending."""
    found = (re.fullmatch(r"v(\d+)", name) for name in _names(root))
    return tuple(sorted(int(match[1]) for match in found if match))


def open_pin(path: Path) -> int | None:
    """A descriptor of whatever is pinned at `path`; None when nothing is."""
    answer = int(lib().bpf_obj_get(os.fsencode(path)))
    if answer == -2:  # ENOENT
        return None
    return libbpf.check(answer, f"opening the pin {path}")


def remove(*, bpffs: Path, instance: str, force: bool = False) -> Removed:
    """Detaches and unpins everything of an instance, of every layout version.

    Works with no agent. Raises InstanceBusy while one runs, unless `force`: then cgroup programs
    are detached under it, and tracepoint programs go with its process. Raises NotPermitted.
    """
    root = root_of(bpffs, instance)
    if not root.is_dir():
        return Removed(links=(), maps=(), directories=())
    lock = None if force else Lock(bpffs=bpffs, instance=instance)
    try:
        return remove_root(root)
    except OSError as error:
        raise errors.refused(f"removing instance {instance} ({root})", error.errno or 0) from error
    finally:
        if lock is not None:
            lock.release()


def remove_root(root: Path) -> Removed:
    """Detaches and unpins everything of an instance, and leaves no empty directory."""
    fastpath.drain_pinned(root)
    removed = remove_tree(root)
    with contextlib.suppress(OSError):  # other instances live there
        root.parent.rmdir()
    return removed


def tidy(root: Path) -> None:
    """Removes an instance's directories when nothing of use is pinned in them."""
    if root.is_dir() and all(path.name == "meta" for path in _pins_below(root)):
        remove_root(root)


def remove_tree(directory: Path) -> Removed:
    """Detaches and unpins everything below a directory, then removes it."""
    links: list[str] = []
    maps: list[str] = []
    for path in _pins_below(directory):
        if path.parent.name == "links":
            if (fd := open_pin(path)) is not None:
                link = Link(fd=fd, name=path.name)
                link.detach()
                link.close()
            links.append(path.name)
        elif path.parent.name == "maps":
            maps.append(path.name)
        path.unlink(missing_ok=True)
    below = sorted((d for d in directory.rglob("*") if d.is_dir()), reverse=True)
    for empty in (*below, directory):
        empty.rmdir()
    return Removed(links=tuple(links), maps=tuple(maps), directories=(*below, directory))


def _pins_below(root: Path) -> Iterator[Path]:
    """Every pin, links before maps: a program is detached before its maps lose their names."""
    pins = [path for path in root.rglob("*") if not path.is_dir()]
    yield from sorted(pins, key=lambda path: (path.parent.name != "links", path))


def _names(directory: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(os.listdir(directory)))
    except FileNotFoundError:
        return ()


def _pin(fd: int, path: Path) -> None:
    libbpf.check(int(lib().bpf_obj_pin(fd, os.fsencode(path))), f"pinning {path}")
