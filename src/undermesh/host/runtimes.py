# SPDX-License-Identifier: Apache-2.0
"""Names of containers and pods, from the files their runtimes keep.

Files and not sockets: a runtime's API needs its daemon up and a client library each, and answers
for the root user's containers only. Each file is read again only when it changed. What cannot be
read is counted and its container keeps the short id.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from undermesh.host.containers import ContainerName, PodName, RuntimeNames

FILE_LIMIT = 4 << 20
ENTRY_LIMIT = 20_000
LABEL_LIMIT = 64
TEXT_LIMIT = 256
_ID = re.compile(r"[0-9a-f]{64}")
# <pod>_<namespace>_<container>-<id>.log, a link made by the kubelet (kuberuntime/legacy.go)
_LOG_LINK = re.compile(
    r"(?P<pod>[^_]+)_(?P<namespace>[^_]+)_(?P<name>.+)-(?P<id>[0-9a-f]{64})\.log"
)
# <namespace>_<pod>_<uid>, a directory made by the kubelet (BuildPodLogsDirectory)
_POD_LOGS = re.compile(r"(?P<namespace>[^_]+)_(?P<pod>[^_]+)_(?P<uid>[0-9a-f-]{32,36})")
# containers/storage: one directory per graph driver; `podman run --rm` is in the volatile list.
_STORAGE = tuple(f"{driver}-containers" for driver in ("overlay", "vfs", "btrfs", "zfs"))

Stamp = tuple[int, int, int]
"""Inode, size and mtime in ns: a file whose stamp is the same is not read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRoots:
    """Where the runtimes keep their files. Directories that do not exist are no error."""

    docker: Path = Path("/var/lib/docker")
    podman: Path = Path("/var/lib/containers/storage")
    homes: Path = Path("/home")
    """Where users keep theirs: <homes>/<user>/.local/share/containers/storage."""
    nerdctl: Path = Path("/var/lib/nerdctl")
    kubernetes_logs: Path = Path("/var/log")


class _Files:
    """Reads small JSON files, and each again only when it changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Stamp, Mapping[str, ContainerName]]] = {}
        self._seen: set[str] = set()
        self.unreadable = 0

    def names(
        self, path: str, parse: Callable[[Any], Mapping[str, ContainerName]]
    ) -> Mapping[str, ContainerName]:
        """What `parse` makes of the document at `path`; nothing when there is no such file."""
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return {}
        except OSError:
            self.unreadable += 1
            return {}
        self._seen.add(path)
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        names: Mapping[str, ContainerName] = {}
        try:
            with open(path, "rb") as stream:
                raw = stream.read(FILE_LIMIT + 1)
            if len(raw) > FILE_LIMIT:
                raise ValueError("too large")
            names = parse(json.loads(raw))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError):
            self.unreadable += 1
            # A file that is being rewritten keeps what it said until it can be read again.
            names = known[1] if known is not None else {}
        self._known[path] = (stamp, names)
        return names

    def sweep(self) -> None:
        """Forgets the files that were not asked for since the last sweep."""
        for path in self._known.keys() - self._seen:
            del self._known[path]
        self._seen.clear()


class Runtimes:
    """Reads every runtime's files. `unreadable` counts files and directories that could not be."""

    def __init__(self, roots: RuntimeRoots | None = None) -> None:
        self._roots = roots or RuntimeRoots()
        self._files = _Files()
        self._logs: dict[str, tuple[Stamp, tuple[str, ...]]] = {}
        self._last = RuntimeNames(MappingProxyType({}), MappingProxyType({}))
        self._unlisted = 0

    @property
    def unreadable(self) -> int:
        """How many files and directories could not be read, ever."""
        return self._files.unreadable + self._unlisted

    def refresh(self) -> RuntimeNames:
        """The names as they stand; the very same object when nothing changed."""
        containers: dict[str, ContainerName] = {}
        pods = dict(self._pods())
        for names in (self._docker(), self._podman(), self._nerdctl(), self._kubernetes()):
            containers.update(names)
        self._files.sweep()
        if containers != self._last.containers or pods != self._last.pods:
            self._last = RuntimeNames(MappingProxyType(containers), MappingProxyType(pods))
        return self._last

    def _docker(self) -> Iterator[tuple[str, ContainerName]]:
        root = self._roots.docker / "containers"
        for name in self._list(root):
            if _ID.fullmatch(name):
                yield from self._files.names(f"{root}/{name}/config.v2.json", _docker_name).items()

    def _podman(self) -> Iterator[tuple[str, ContainerName]]:
        roots = [self._roots.podman]
        for user in self._list(self._roots.homes):
            roots.append(self._roots.homes / user / ".local/share/containers/storage")
        for root in roots:
            for directory in _STORAGE if root.exists() else ():
                for name in ("containers.json", "volatile-containers.json"):
                    path = f"{root}/{directory}/{name}"
                    yield from self._files.names(path, _podman_names).items()

    def _nerdctl(self) -> Iterator[tuple[str, ContainerName]]:
        """<root>/<address hash>/names/<namespace>/<name> holds the id, one file a container."""
        for address in self._list(self._roots.nerdctl):
            names = self._roots.nerdctl / address / "names"
            for namespace in self._list(names):
                for name in self._list(names / namespace):
                    found = self._nerdctl_id(names / namespace / name)
                    if found:
                        yield found, ContainerName(name=name[:TEXT_LIMIT], runtime="nerdctl")

    def _nerdctl_id(self, path: Path) -> str:
        try:
            with path.open("rb") as stream:
                text = stream.read(65).decode("ascii", "replace").strip()
        except OSError:
            return ""
        return text if _ID.fullmatch(text) else ""

    def _kubernetes(self) -> Iterator[tuple[str, ContainerName]]:
        for name in self._list_logs(self._roots.kubernetes_logs / "containers"):
            if match := _LOG_LINK.fullmatch(name):
                yield (
                    match["id"],
                    ContainerName(
                        name=match["name"],
                        namespace=match["namespace"],
                        pod_name=match["pod"],
                        runtime="kubernetes",
                    ),
                )

    def _pods(self) -> Iterator[tuple[str, PodName]]:
        for name in self._list_logs(self._roots.kubernetes_logs / "pods"):
            if match := _POD_LOGS.fullmatch(name):
                yield match["uid"], PodName(name=match["pod"], namespace=match["namespace"])

    def _list_logs(self, directory: Path) -> tuple[str, ...]:
        """As `_list`, but only when the directory changed: what matters here is in the names."""
        try:
            status = os.stat(directory)
        except OSError:
            return ()
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._logs.get(str(directory))
        if known is None or known[0] != stamp:
            known = (stamp, self._list(directory))
            self._logs[str(directory)] = known
        return known[1]

    def _list(self, directory: Path) -> tuple[str, ...]:
        try:
            with os.scandir(directory) as entries:
                return tuple(
                    entry.name for entry, _ in zip(entries, range(ENTRY_LIMIT), strict=False)
                )
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError:
            self._unlisted += 1
            return ()


def _docker_name(document: Any) -> Mapping[str, ContainerName]:
    """One container of Docker's config.v2.json: ID, Name ("/web"), Config.Labels."""
    if not isinstance(document, dict):
        raise ValueError("no object")
    container, name = document.get("ID"), document.get("Name")
    if not isinstance(container, str) or not _ID.fullmatch(container) or not isinstance(name, str):
        raise ValueError("ID and Name are not what Docker writes")
    name = name.removeprefix("/")[:TEXT_LIMIT]
    config = document.get("Config")
    labels = _labels(config.get("Labels") if isinstance(config, dict) else None)
    if not name:
        return {}
    pod = labels.get("io.kubernetes.pod.uid", "")
    return {
        container: ContainerName(
            name=labels.get("io.kubernetes.container.name", name) if pod else name,
            namespace=labels.get("io.kubernetes.pod.namespace", "default") if pod else "default",
            labels=labels,
            runtime="docker",
            pod=pod,
            pod_name=labels.get("io.kubernetes.pod.name", ""),
        )
    }


def _podman_names(document: Any) -> Mapping[str, ContainerName]:
    """containers/storage's list: id, names, metadata (JSON text with name and pod-name).

    CRI-O keeps its containers in the same list, called k8s_<container>_<pod>_<namespace>_<uid>_<n>.
    """
    if not isinstance(document, list):
        raise ValueError("no list")
    found: dict[str, ContainerName] = {}
    for entry in document[:ENTRY_LIMIT]:
        container = entry.get("id") if isinstance(entry, dict) else None
        names = entry.get("names") if isinstance(entry, dict) else None
        if not isinstance(container, str) or not _ID.fullmatch(container):
            continue
        if isinstance(names, list) and names and isinstance(names[0], str) and names[0]:
            found[container] = _storage_name(names[0][:TEXT_LIMIT])
    return found


def _storage_name(name: str) -> ContainerName:
    parts = name.split("_")
    if parts[0] == "k8s" and len(parts) == 6:
        return ContainerName(
            name=parts[1], pod_name=parts[2], namespace=parts[3], pod=parts[4], runtime="cri-o"
        )
    return ContainerName(name=name, runtime="podman")


def _labels(given: Any) -> Mapping[str, str]:
    """At most LABEL_LIMIT labels of bounded length, in the order of their names."""
    if not isinstance(given, dict):
        return {}
    texts = sorted((k, v) for k, v in given.items() if isinstance(k, str) and isinstance(v, str))
    return {k[:TEXT_LIMIT]: v[:TEXT_LIMIT] for k, v in texts[:LABEL_LIMIT]}
