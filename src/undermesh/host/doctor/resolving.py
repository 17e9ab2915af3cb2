# SPDX-License-Identifier: Apache-2.0
"""What on this host asks for names otherwise than through port 53: it does not find services.

A resolver at 127.0.0.53 in resolv.conf is no bypass: that is port 53 of this very host.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from undermesh.host.doctor.checks import Check

_LIMIT = 65536
_ENCRYPTING = {
    "cloudflared": "DNS over HTTPS",
    "dnscrypt-proxy": "DNSCrypt or DNS over HTTPS",
    "dnsproxy": "DNS over TLS or HTTPS",
    "https_dns_proxy": "DNS over HTTPS",
    "stubby": "DNS over TLS",
}
"""Processes that take queries and pass them on encrypted, by name (15 characters at most)."""

_CACHES = {"nscd": "nscd", "nsncd": "nsncd", "sssd_nss": "sssd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvingFacts:
    """How this host looks names up, as its files tell it."""

    hosts: tuple[str, ...]
    """Sources of host names in nsswitch.conf(5), without what to do after each."""
    nameservers: tuple[str, ...]
    """Of /etc/resolv.conf."""
    resolved: bool
    """Whether systemd-resolved runs."""
    over_tls: str
    """DNSOverTLS= of resolved.conf(5); empty when it is not set."""
    running: frozenset[str]
    """Names of processes."""


def gather(*, root: Path = Path("/")) -> ResolvingFacts:
    """Reads the host. Needs no privilege."""
    running = frozenset(_processes(root / "proc"))
    resolv = _text(root / "etc/resolv.conf")
    return ResolvingFacts(
        hosts=_sources(_text(root / "etc/nsswitch.conf")),
        nameservers=tuple(re.findall(r"^\s*nameserver\s+(\S+)", resolv, re.MULTILINE)),
        resolved="systemd-resolve" in running,
        over_tls=_over_tls(root),
        running=running,
    )


def bypasses(facts: ResolvingFacts) -> Iterator[Check]:
    """What goes past port 53, one check each; and the one that says so when nothing does."""
    found = [
        *_name_service(facts),
        *_encrypted(facts),
        *_link_local(facts),
    ]
    yield from found
    if not found:
        servers = ", ".join(facts.nameservers) or "none in /etc/resolv.conf"
        yield Check(
            name="service names",
            ok="yes",
            found=f"names are asked for by port 53 (resolvers: {servers})",
            needed=False,
        )
    caches = sorted(shown for name, shown in _CACHES.items() if name in facts.running)
    if caches:
        yield Check(
            name="name caches",
            ok="yes",
            found=f"{', '.join(caches)} runs: programs see a changed service name once it forgets "
            "the old one",
            needed=False,
        )
    yield Check(
        name="programs of their own",
        ok="unknown",
        found="browsers and other programs that ask by HTTPS themselves (DoH) cannot be told from "
        "outside; service names are not found by them",
        needed=False,
    )


def _name_service(facts: ResolvingFacts) -> Iterator[Check]:
    """nss-resolve(8) asks systemd-resolved by varlink or D-Bus, and is final when it answers."""
    if "resolve" not in facts.hosts or not facts.resolved:
        return
    place = facts.hosts.index("resolve")
    if "dns" in facts.hosts[:place]:
        return
    yield Check(
        name="nss-resolve",
        ok="no",
        found="`hosts: … resolve` in /etc/nsswitch.conf, and systemd-resolved runs",
        cost_if_missing="programs that use glibc ask systemd-resolved over a Unix socket: they "
        "find no service names",
        remedy="take `resolve` out of the hosts line of /etc/nsswitch.conf: `dns` asks the same "
        "systemd-resolved, at 127.0.0.53",
        needed=False,
    )


def _encrypted(facts: ResolvingFacts) -> Iterator[Check]:
    """What takes queries at port 53 of this host is reached by ours first: only what programs send
    to it by another way goes past. It is told, for its own upstream is never ours."""
    for name, way in _ENCRYPTING.items():
        if name[:15] in facts.running:
            yield Check(
                name=name,
                ok="yes",
                found=f"it asks its own resolvers by {way}, which is left alone; programs that ask "
                "it at port 53 do find service names",
                needed=False,
            )
    if facts.over_tls.lower() in ("yes", "true", "opportunistic"):
        yield Check(
            name="DNS over TLS",
            ok="yes",
            found=f"DNSOverTLS={facts.over_tls} in resolved.conf: systemd-resolved's own queries "
            "are left alone; programs that ask it at 127.0.0.53 do find service names",
            needed=False,
        )


def _link_local(facts: ResolvingFacts) -> Iterator[Check]:
    if any(server.lower().startswith("fe80:") for server in facts.nameservers):
        yield Check(
            name="link-local resolver",
            ok="no",
            found="a fe80:: address in /etc/resolv.conf",
            cost_if_missing="queries to it are left alone: programs find no service names by it",
            remedy="name a resolver with an address that is not link-local",
            needed=False,
        )


def _sources(nsswitch: str) -> tuple[str, ...]:
    """ "hosts: files resolve [!UNAVAIL=return] dns" → files, resolve, dns."""
    match = re.search(r"^\s*hosts:([^#\n]*)", nsswitch, re.MULTILINE)
    return tuple(re.sub(r"\[[^]]*\]", " ", match[1]).split()) if match else ("files", "dns")


def _over_tls(root: Path) -> str:
    """The last one said wins, drop-ins after the main file (systemd's order)."""
    files = [root / "etc/systemd/resolved.conf"]
    for place in ("usr/lib", "run", "etc"):
        files += sorted((root / place / "systemd/resolved.conf.d").glob("*.conf"))
    found = [re.findall(r"^\s*DNSOverTLS\s*=\s*(\S+)", _text(f), re.MULTILINE) for f in files]
    said = [value for values in found for value in values]
    return said[-1] if said else ""


def _processes(proc: Path) -> Iterator[str]:
    try:
        names = [name for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return
    for name in names[:_LIMIT]:
        yield _text(proc / name / "comm").strip()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(1 << 20).decode("utf-8", "replace")
    except OSError:
        return ""
