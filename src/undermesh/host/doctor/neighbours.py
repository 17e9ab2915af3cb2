# SPDX-License-Identifier: Apache-2.0
"""Other eBPF users of the host: who they are, and whether we get along with them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignProgram:
    """A loaded eBPF program that is not ours.

    `name` as the kernel keeps it (15 characters), `type` and `attach` as bpftool writes them
    ("cgroup_skb", "sock_ops", "xdp"; "cgroup_inet_egress", …), `owner` the name of the process that
    holds it or the path it is pinned at; each empty where it is not known.
    """

    name: str
    type: str
    attach: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One eBPF user: its programs, whether all is well, and why."""

    name: str
    programs: tuple[ForeignProgram, ...]
    harmless: bool
    why: tuple[str, ...]


_OURS = (
    r"tap_(?:in|e)gress|conn_(?:sock|connect|set_s)\w*|drops_(?:kfree|retr|send|rece)\w*|"
    r"process_(?:exec|fork|exit|cgro)\w*|sweep_(?:sockets|udp)|backfill_files"
)
_CILIUM = r"cil_\w+|cilium\w*|tail_(?:handle|ipv[46]|nodeport|policy)\w*"
_TETRAGON = r"tg_\w+|generic_(?:kprobe|tracep|lsm|uprobe)\w*|execve_(?:send|rate|map\w*)"

# Who, what their programs are called, and what the process or pin that holds them is called.
_KNOWN = (
    ("undermesh", _OURS, r"undermesh|/.*/undermesh/.*"),
    ("systemd", r"sd_\w+|restrict_\w*|sysctl_monitor", r"systemd\S*"),
    ("Cilium", _CILIUM, r"cilium\S*|/.*/cilium/.*"),
    ("Calico", r"cali\w*", r"calico\S*|/.*/calico/.*"),
    ("Tetragon", _TETRAGON, r"tetragon\S*|/.*/tetragon/.*"),
    ("Datadog", r"(?:kprobe|socket)__\w+", r"system-probe|datadog\S*|process-agent"),
    ("Pixie", r"px_\w+", r"pem|pixie\S*|vizier\S*"),
    ("Falco", r"t\d?_\w+_[ex]", r"falco\S*|sysdig\S*"),
    ("Inspektor Gadget", r"ig_\w+", r"ig|gadget\S*"),
    ("Kmesh", r"kmesh\w*", r"kmesh\S*"),
    ("bpftrace", r"", r"bpftrace"),
    ("container runtimes", r"", r"runc|crun|containerd\S*|dockerd|conmon"),
)

_OVER_SOCKETS = (
    "it moves payload between sockets (sockmap): what goes that way passes no hook of ours, so "
    "bytes and requests of those connections are not counted"
)
_WHY = {
    "cgroup_skb": "all programs at this hook run on every packet; ours always lets it pass",
    "sock_ops": "all programs at this hook run; one that replaces a socket's callback flags "
    "instead of adding to them would hide that connection's retransmits and end from us",
    "cgroup_sock": "all programs at this hook run; ours always allows the socket",
    "cgroup_sock_addr": "all programs at this hook run; where it rewrites the address, we show the "
    "address that was really connected to",
    "cgroup_device": "it decides about devices, not about sockets",
    "cgroup_sysctl": "it decides about settings, not about sockets",
    "cgroup_sockopt": "we do not use this hook",
    "xdp": "it runs below us: what it drops or answers never reaches a socket and is not seen",
    "sched_cls": "it runs below us: what it drops or redirects away reaches no socket here",
    "sk_msg": _OVER_SOCKETS,
    "sk_skb": _OVER_SOCKETS,
    "sk_lookup": "it chooses the listening socket before we see the connection",
    "tracing": "tracing programs do not know each other",
    "kprobe": "tracing programs do not know each other",
    "tracepoint": "tracing programs do not know each other",
    "raw_tracepoint": "tracing programs do not know each other",
    "perf_event": "tracing programs do not know each other",
    "lsm": "it may refuse system calls, also those of `undermesh up`; the message then names it",
    "netfilter": "it may drop packets; drops are shown with their reason",
    "socket_filter": "it reads copies of packets",
}
_HARMFUL = frozenset({"sk_msg", "sk_skb"})


def neighbours(programs: Iterable[ForeignProgram]) -> tuple[Neighbour, ...]:
    """The programs by whose they are, in the order they were met; those not known come last."""
    by_name: dict[str, list[ForeignProgram]] = {}
    for program in programs:
        by_name.setdefault(recognise(program), []).append(program)
    unknown = by_name.pop("", None)
    if unknown:
        by_name["others"] = unknown
    return tuple(_neighbour(name, tuple(owned)) for name, owned in by_name.items())


def recognise(program: ForeignProgram) -> str:
    """Whose a program is: by its owner first, then by its name; empty when neither says."""
    for name, _, owners in _KNOWN:
        if program.owner and re.fullmatch(owners, program.owner[:256]):
            return name
    for name, names, _ in _KNOWN:
        if names and re.fullmatch(names, program.name):
            return name
    return ""


def _neighbour(name: str, programs: tuple[ForeignProgram, ...]) -> Neighbour:
    kinds = sorted({program.type for program in programs})
    why = tuple(f"{kind}: {_WHY.get(kind, 'a hook we do not use')}" for kind in kinds)
    harmless = not _HARMFUL.intersection(kinds)
    return Neighbour(name=name, programs=programs, harmless=harmless, why=why)
