# SPDX-License-Identifier: Apache-2.0
"""Cgroups for `undermesh run`: made for one command, named after it, removed when it is empty.

They lie at <base>/undermesh-<instance>/<namespace>/<name>.<8 hex digits>, so that the path alone
says whose they are: nothing is lost with the agent. No controller is enabled in them, so the rule
against processes in inner cgroups (cgroup-v2.rst, "No Internal Process Constraint") does not apply.

On a host with systemd the top of the hierarchy is systemd's to write (CGROUP_DELEGATION.md). It
leaves cgroups alone that it does not know, but a process moved here has left its unit or session:
resource limits of that unit no longer hold for it, and `systemctl stop` no longer ends it.
"""

import errno
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from undermesh.host.errors import BadName, CgroupRefused

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LEAF = re.compile(r"(?P<name>[a-z0-9-]+)\.[0-9a-f]{8}")
_LABEL_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?")
_LABELS_LIMIT = 64
_VALUE_LIMIT = 256
_MOVES_LIMIT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCgroup:
    """One run's cgroup. `path` is its directory, `cgroup_id` the kernel's id of it."""

    path: Path
    cgroup_id: int
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What `down` did: cgroups removed, processes moved out of them, cgroups it had to leave."""

    removed: tuple[Path, ...]
    moved: tuple[int, ...]
    left: tuple[Path, ...]


def validate_name(what: str, name: str) -> str:
    """`name` itself, where it is a DNS label (RFC 1123). Raises BadName."""
    if not _LABEL.fullmatch(name):
        raise BadName(
            what, name, "lower-case letters, digits and '-', at most 63, no '-' at an end"
        )
    return name


def validate_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """The labels, where each can be shown and selected on. Raises BadName."""
    if len(labels) > _LABELS_LIMIT:
        raise BadName("labels", str(len(labels)), f"at most {_LABELS_LIMIT}")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise BadName("label", key, "letters, digits, '.', '-', '_' and '/', at most 128")
        if len(value) > _VALUE_LIMIT or not value.isprintable():
            raise BadName(f"value of label {key}", value, f"printable, at most {_VALUE_LIMIT}")
    return dict(labels)


class RunCgroups:
    """The run cgroups of one instance below `base`, the scope or the cgroup v2 root."""

    def __init__(self, *, base: Path, instance: str) -> None:
        self._base = base
        self._top = base / f"undermesh-{validate_name('instance', instance)}"

    @property
    def top(self) -> Path:
        """The directory that holds all of them."""
        return self._top

    def create(self, *, namespace: str, name: str) -> RunCgroup:
        """Makes a cgroup for one run. Raises BadName, or CgroupRefused."""
        validate_name("namespace", namespace)
        validate_name("name", name)
        for _ in range(8):
            path = self._top / namespace / f"{name}.{secrets.token_hex(4)}"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.mkdir()
                ident = path.stat().st_ino
            except (FileExistsError, FileNotFoundError):
                continue  # taken, or a sweep removed the empty parent in between
            except OSError as error:
                advice = "run as root, on a host whose cgroup v2 is writable"
                raise CgroupRefused("making cgroup", path, error, advice) from error
            return RunCgroup(path=path, cgroup_id=ident, namespace=namespace, name=name)
        taken = FileExistsError(errno.EEXIST, "File exists")
        raise CgroupRefused("making cgroup", self._top / namespace, taken, "try again")

    def place(self, path: Path, pid: int) -> None:
        """Moves a process, and so its children to come, into a run's cgroup.

        Raises CgroupRefused; ValueError for a directory that is not one of these.
        """
        if not self._is_run(path):
            raise ValueError(f"{path} is not a run of this instance (below {self._top})")
        self._move(path, pid)

    def _move(self, path: Path, pid: int) -> None:
        try:
            with (path / "cgroup.procs").open("w") as stream:
                stream.write(str(pid))
        except OSError as error:
            advice = "is the process still there, and is it this user's to move?"
            raise CgroupRefused(f"moving process {pid} to", path, error, advice) from error

    def remove(self, path: Path) -> bool:
        """Removes a run's cgroup and what was made in it. False while processes are in it.

        One that is gone already counts as removed. Raises ValueError for a directory that is not
        one of these.
        """
        if not self._is_run(path):
            raise ValueError(f"{path} is not a run of this instance (below {self._top})")
        done = _remove_tree(path)
        self._tidy()
        return done

    def list(self) -> tuple[RunCgroup, ...]:
        """The runs that have a cgroup, whether or not a process is in it."""
        found: list[RunCgroup] = []
        for path in self._leaves():
            match = _LEAF.fullmatch(path.name)
            try:
                ident = path.stat().st_ino
            except FileNotFoundError:
                continue
            if match is not None:
                found.append(
                    RunCgroup(
                        path=path, cgroup_id=ident, namespace=path.parent.name, name=match["name"]
                    )
                )
        return tuple(found)

    def sweep(self) -> tuple[Path, ...]:
        """Removes the runs that are over but left their cgroup (their keeper was killed)."""
        removed = tuple(path for path in self._leaves() if _remove_tree(path))
        self._tidy()
        return removed

    def remove_all(self, *, evacuate: bool = True) -> Cleared:
        """Removes every run's cgroup. Processes still in them are moved to the base and go on.

        With `evacuate` false, cgroups with processes are left.
        """
        removed: list[Path] = []
        moved: list[int] = []
        left: list[Path] = []
        for path in self._leaves():
            if evacuate:
                moved.extend(self._evacuate(path))
            (removed if _remove_tree(path) else left).append(path)
        self._tidy()
        return Cleared(removed=tuple(removed), moved=tuple(moved), left=tuple(left))

    def _evacuate(self, path: Path) -> Iterator[int]:
        """Moves what runs in a cgroup and below it; it may fork meanwhile, so more than once."""
        for _ in range(_MOVES_LIMIT):
            pids = [pid for directory in _tree(path) for pid in _pids(directory)]
            if not pids:
                return
            for pid in pids:
                try:
                    self._move(self._base, pid)
                except CgroupRefused:
                    continue  # it ended meanwhile; one that cannot be moved shows as left
                yield pid

    def _leaves(self) -> tuple[Path, ...]:
        return tuple(
            leaf
            for namespace in _directories(self._top)
            for leaf in _directories(namespace)
            if _LEAF.fullmatch(leaf.name)
        )

    def _is_run(self, path: Path) -> bool:
        namespace, leaf = path.parent.name, path.name
        known = _LABEL.fullmatch(namespace) is not None and _LEAF.fullmatch(leaf) is not None
        return known and path == self._top / namespace / leaf

    def _tidy(self) -> None:
        """Removes namespaces without runs, and the top without namespaces."""
        for directory in (*_directories(self._top), self._top):
            try:
                directory.rmdir()
            except OSError:
                continue  # in use: not empty


def _directories(path: Path) -> tuple[Path, ...]:
    try:
        with os.scandir(path) as entries:
            return tuple(path / e.name for e in entries if e.is_dir(follow_symlinks=False))
    except OSError:
        return ()


def _tree(path: Path) -> tuple[Path, ...]:
    """`path` and every directory below it, the deepest first."""
    return (*(inner for child in _directories(path) for inner in _tree(child)), path)


def _pids(path: Path) -> tuple[int, ...]:
    try:
        return tuple(int(line) for line in (path / "cgroup.procs").read_text().split())
    except (OSError, ValueError):
        return ()


def _remove_tree(path: Path) -> bool:
    """Whether the cgroup is gone now; the kernel refuses while a process is in it (EBUSY)."""
    for directory in _tree(path):
        try:
            directory.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
