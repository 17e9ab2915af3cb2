# SPDX-License-Identifier: Apache-2.0
"""What a cgroup is called by whoever made it: systemd, a container runtime, `undermesh run`.

Pure. The path is hostile: whoever may make cgroups chooses it. Names that leave this module are
printable, of bounded length, and unambiguous.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from undermesh.host.containers import NO_RUNTIMES, ContainerName, PodName, RuntimeNames
from undermesh.model.workload import NO_LABELS, CgroupKind

NAME_LIMIT = 96
SHORT_ID = 12
DEFAULT_NAMESPACE = "default"

_ID = r"[0-9a-f]{64}"
# `docker-<id>.scope`, `libpod-<id>.scope`, `cri-containerd-<id>.scope`, `crio-<id>.scope`,
# `nerdctl-<id>.scope`: the systemd cgroup drivers; `<id>` and `crio-<id>`: the cgroupfs ones.
_SCOPE = re.compile(rf"(?:(?P<runtime>[a-z][a-z-]*?)-)?(?P<id>{_ID})(?:\.scope)?")
# What runc makes of a systemd path under the cgroupfs driver: slice:prefix:id
_COLON = re.compile(rf"(?P<slice>[^:]*):(?P<runtime>[a-z][a-z-]*):(?P<id>{_ID})")
_MONITOR = re.compile(rf"(?:libpod|crio)-conmon-{_ID}(?:\.scope)?")
_POD = re.compile(
    r"(?:[a-z-]*kubepods-(?:besteffort-|burstable-|guaranteed-)?)?pod"
    r"(?P<uid>[0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?"
)
_RUN = re.compile(r"undermesh-(?P<instance>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_RUN_LEAF = re.compile(rf"(?P<name>{_LABEL.pattern})\.(?P<unique>[0-9a-f]{{8}})")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_APP = re.compile(r"app(?:-(?P<launcher>[^-@]+))?-(?P<name>[^-@]+)(?:[-@](?P<unique>[^-@]*))?")
_RUNTIMES = {"libpod": "podman", "cri-containerd": "containerd", "crio": "cri-o"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupName:
    """A cgroup's name, and whether it names every process in it.

    `explicit` is true where somebody gave the name to the whole cgroup (containers, pods,
    `undermesh run`); for kinds root, session and slice the name says nothing of the processes in
    it and each is called by its executable. `container` is the full container id, if any.
    """

    kind: CgroupKind
    name: str
    namespace: str = DEFAULT_NAMESPACE
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    explicit: bool = False
    container: str | None = None


def name_cgroup(path: str, runtimes: RuntimeNames = NO_RUNTIMES) -> CgroupName:
    """The name of the cgroup at `path` (below the cgroup v2 root, starting with '/').

    The innermost container, pod, run or unit wins; cgroups made inside a unit or a container belong
    to it. A service inside a container that runs its own systemd is "container/service".
    """
    parts = [part for part in path.split("/") if part]
    if not parts:
        return CgroupName(kind="root", name="/")
    for at in range(len(parts) - 1, -1, -1):
        found = _explicit(parts, at, runtimes)
        if found is not None:
            return _inside(found, parts[at + 1 :])
    return _systemd(parts) or _plain(parts)


def _explicit(parts: list[str], at: int, runtimes: RuntimeNames) -> CgroupName | None:
    """What `parts[at]` is, where it names all that runs in it."""
    part = parts[at]
    match = _COLON.fullmatch(part) or _SCOPE.fullmatch(part)
    if match is not None and not _MONITOR.fullmatch(part):
        pod = match["slice"] if "slice" in match.re.groupindex else None
        return _container(match["id"], match["runtime"], pod, parts[:at], runtimes)
    if (match := _POD.fullmatch(part)) is not None and _in_kubepods(parts, at):
        return _pod(_uid(match["uid"]), NO_LABELS, None, runtimes)
    if at >= 2 and (run := _run(parts[at - 2], parts[at - 1], part)) is not None:
        return run
    return _machine(parts, at)


def _container(
    container: str, prefix: str | None, pod: str | None, above: list[str], runtimes: RuntimeNames
) -> CgroupName:
    known = runtimes.containers.get(container)
    uid = known.pod if known is not None else ""
    outer = [*above, pod] if pod else above
    for part in outer[-2:]:
        if (match := _POD.fullmatch(part)) is not None:
            uid = _uid(match["uid"])
    runtime = _runtime(prefix, above, known)
    labels = {"runtime": runtime} if runtime else {}
    if known is not None:
        labels |= known.labels
    if uid:
        if known is not None:
            labels["container"] = clean(known.name)
        return _pod(uid, labels, container, runtimes, known)
    name = clean(known.name) if known is not None else container[:SHORT_ID]
    namespace = clean(known.namespace) if known is not None else DEFAULT_NAMESPACE
    return CgroupName(
        kind="container",
        name=name,
        namespace=namespace,
        labels=labels,
        explicit=True,
        container=container,
    )


def _runtime(prefix: str | None, above: list[str], known: ContainerName | None) -> str:
    if known is not None and known.runtime:
        return known.runtime
    if prefix:
        return _RUNTIMES.get(prefix, prefix)
    return "docker" if above and above[-1] == "docker" else ""


def _pod(
    uid: str,
    labels: Mapping[str, str],
    container: str | None,
    runtimes: RuntimeNames,
    known: ContainerName | None = None,
) -> CgroupName:
    pod = runtimes.pods.get(uid)
    if pod is None and known is not None and known.pod_name:
        pod = PodName(name=known.pod_name, namespace=known.namespace)
    return CgroupName(
        kind="pod",
        name=clean(pod.name) if pod is not None else f"pod-{uid[:8]}",
        namespace=clean(pod.namespace) if pod is not None else DEFAULT_NAMESPACE,
        labels={**labels, "pod-uid": uid},
        explicit=True,
        container=container,
    )


def _in_kubepods(parts: list[str], at: int) -> bool:
    return any("kubepods" in part for part in parts[: at + 1])


def _uid(text: str) -> str:
    """A pod's uid as Kubernetes writes it: systemd slices have '_' for '-'.

    Static pods have the hash of their manifest, 32 digits without dashes, for a uid.
    """
    return text.replace("_", "-")


def _run(top: str, namespace: str, leaf: str) -> CgroupName | None:
    """`undermesh-<instance>/<namespace>/<name>.<unique>`, made by `undermesh run`."""
    instance, name = _RUN.fullmatch(top), _RUN_LEAF.fullmatch(leaf)
    if instance is None or name is None or not _LABEL.fullmatch(namespace):
        return None
    return CgroupName(kind="run", name=name["name"], namespace=namespace, explicit=True)


def _machine(parts: list[str], at: int) -> CgroupName | None:
    """LXC and Incus containers, systemd-nspawn and other machines of systemd-machined, BuildKit."""
    part, above = parts[at], parts[at - 1] if at else ""
    name, runtime = "", ""
    if part.startswith("lxc.payload."):
        name, runtime = part.removeprefix("lxc.payload."), "lxc"
    elif above in ("lxc", "lxc.payload"):
        name, runtime = part, "lxc"
    elif part.startswith("systemd-nspawn@") and part.endswith(".service"):
        name, runtime = part[len("systemd-nspawn@") : -len(".service")], "nspawn"
    elif part.startswith("machine-") and part.endswith(".scope"):
        name, runtime = part[len("machine-") : -len(".scope")], "machined"
    elif part == "buildkit" and above == "docker":
        name, runtime = part, "buildkit"
    if not name:
        return None
    labels = {"runtime": runtime}
    return CgroupName(kind="container", name=clean(unescape(name)), labels=labels, explicit=True)


def _inside(found: CgroupName, below: list[str]) -> CgroupName:
    """A system service of a container's own systemd is told apart from its siblings."""
    unit = _systemd(below) if found.kind in ("container", "pod") else None
    if unit is None or unit.kind != "unit":
        return found
    return CgroupName(
        kind=found.kind,
        name=clean(f"{found.name}/{unit.name}"),
        namespace=found.namespace,
        labels=found.labels,
        explicit=True,
        container=found.container,
    )


def _systemd(parts: list[str]) -> CgroupName | None:
    """The innermost systemd unit: a service, a scope, a user's session, or only slices.

    systemd.unit(5) for names, user@.service(5) for what is below a user's own manager.
    """
    managers = [part for part in parts if part.startswith("user@") and part.endswith(".service")]
    labels = {"user": clean(managers[0][len("user@") : -len(".service")])} if managers else {}
    for at in range(len(parts) - 1, -1, -1):
        kind, name = _unit(parts[at], app=bool(labels) and "app.slice" in parts)
        if kind == "slice" and parts[at] != "init.scope" and parts[at + 1 :]:
            return CgroupName(kind="cgroup", name=clean("/".join(parts[at + 1 :])), labels=labels)
        if kind is not None:
            return CgroupName(kind=kind, name=clean(name), labels=labels)
    return None


def _unit(part: str, *, app: bool) -> tuple[CgroupKind | None, str]:
    """Kind and name of one component of a path; kind None where it is no unit."""
    stem, _, suffix = part.rpartition(".")
    kind: CgroupKind | None = None
    name = unescape(stem)
    if not stem or suffix not in ("slice", "service", "scope", "socket", "mount", "swap"):
        pass
    elif _MONITOR.fullmatch(part):
        kind, name = "unit", "conmon"
    elif suffix == "slice" or part == "init.scope" or part.startswith("user@"):
        kind = "slice"
    elif suffix == "scope" and re.fullmatch(r"session-c?\d+", stem):
        kind = "session"
    else:
        kind = "unit"
        name = _desktop(stem) if app else name
    return kind, name


def _desktop(stem: str) -> str:
    """A desktop program without its launcher and random part: app[-launcher]-name[-random].scope
    and app[-launcher]-name[@random].service (systemd.io/DESKTOP_ENVIRONMENTS)."""
    match = _APP.fullmatch(stem)
    if match is None:
        return unescape(stem)
    launcher, name = match["launcher"], match["name"]
    if launcher and match["unique"] is None and re.fullmatch(r"[0-9a-f]{1,40}", name):
        name = launcher  # `app-name-random`, without a launcher
    return unescape(name)


def _plain(parts: list[str]) -> CgroupName:
    """A cgroup that nobody named by a rule known here is called by its path."""
    return CgroupName(kind="cgroup", name=clean("/".join(parts)))


def unescape(text: str) -> str:
    r"""systemd's \x2d and the like, where they stand for a printable ASCII character but '/'."""

    def char(match: re.Match[str]) -> str:
        code = int(match[1], 16)
        return chr(code) if 0x20 < code < 0x7F and code != 0x2F else match[0]

    return _ESCAPE.sub(char, text)


def clean(text: str) -> str:
    r"""Printable and of bounded length.

    Control, formatting and undecodable characters are written as \xNN, \uNNNN or \UNNNNNNNN. What
    is longer than NAME_LIMIT is cut and ends with a hash of the whole.
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(_visible(char) for char in text)
    if len(text) > NAME_LIMIT:
        digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
        text = f"{text[: NAME_LIMIT - 9]}~{digest}"
    return text


def _visible(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable():
        return char
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
