# SPDX-License-Identifier: Apache-2.0
"""Checks of Consul's service definitions.

Fields: https://developer.hashicorp.com/consul/docs/services/configuration/checks-configuration-reference
"""

from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from undermesh.manifests import scalars
from undermesh.manifests.faults import Fault, Path, Refused, refusal, warning
from undermesh.manifests.scalars import Lasting
from undermesh.model.service import Check, GrpcCheck, HttpCheck, Probe, TcpCheck

Count = Annotated[int, Meta(ge=0, le=1000)]

HERE = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::")


class Snake(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A mapping of Consul's, snake_case."""


class CheckFields(Snake):
    """One check: what undermesh can do is `tcp`, `http` and `grpc`."""

    id: str = ""
    name: str = ""
    notes: str = ""
    service_id: str = ""
    http: str | None = None
    tcp: str | None = None
    grpc: str | None = None
    interval: Lasting = "10s"
    timeout: Lasting = "10s"
    method: str = "GET"
    header: dict[str, list[str]] = {}
    body: str = ""
    disable_redirects: bool = False
    success_before_passing: Count = 0
    failures_before_warning: Count = 0
    failures_before_critical: Count = 0
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    tcp_use_tls: bool = False
    grpc_use_tls: bool = False
    status: str = ""
    deregister_critical_service_after: str = ""
    output_max_size: int = 0
    token: str = ""
    ttl: str | None = None
    udp: str | None = None
    h2ping: str | None = None
    h2ping_use_tls: bool = True
    args: list[str] = []
    script: str | None = None
    docker_container_id: str | None = None
    shell: str = ""
    alias_node: str | None = None
    alias_service: str | None = None
    os_service: str | None = None


def chosen(
    one: CheckFields | None, several: list[CheckFields], port: int
) -> tuple[Check | None, list[Fault]]:
    """The check that is made, and what is said of the others."""
    given: list[tuple[Path, CheckFields]] = []
    if one is not None:
        given.append((("service", "check"), one))
    given += [(("service", "checks", index), each) for index, each in enumerate(several)]
    notes: list[Fault] = []
    made: tuple[Path, CheckFields] | None = None
    for path, each in given:
        scalars.positive(each.interval), scalars.positive(each.timeout)
        if each.http is None and each.tcp is None and each.grpc is None:
            notes.append(warning(path, "is not made here", "checks by tcp, http or grpc"))
        elif made is not None:
            said = f"is not made: the first one ({_way(made[1])}) stands for the service"
            notes.append(warning(path, said))
        else:
            made = path, each
            notes += _lost(each, path)
    if made is None:
        return None, notes
    try:
        return _check(made[1], made[0], port), notes
    except Refused as refused:
        return None, [*notes, *refused.faults]


def _way(each: CheckFields) -> str:
    return "http" if each.http is not None else "tcp" if each.tcp is not None else "grpc"


def _lost(each: CheckFields, path: Path) -> list[Fault]:
    found = []
    if (each.http or "").startswith("https:") or each.grpc_use_tls or each.tcp_use_tls:
        found.append(warning(path, "TLS is not spoken: checked by whether it accepts connections"))
    if each.header or each.body:
        found.append(warning(path, "its headers and body are not sent"))
    return found


def _check(each: CheckFields, path: Path, port: int) -> Check:
    """A check of ours that asks what this one asks. Raises Refused."""
    probe, at = _probe(each, path)
    return Check(
        probe=probe,
        interval=scalars.positive(each.interval),
        timeout=scalars.positive(each.timeout),
        healthy_after=max(1, each.success_before_passing),
        unhealthy_after=max(1, each.failures_before_critical),
        port=0 if at == port else at,
    )


def _probe(each: CheckFields, path: Path) -> tuple[Probe, int]:
    """How, and on which port."""
    if each.http is not None:
        return _http(each, (*path, "http"))
    if each.tcp is not None:
        _, port, _ = _target(f"//{each.tcp}", (*path, "tcp"))
        return TcpCheck(), port
    host, port, service = _target(f"//{each.grpc}", (*path, "grpc"))
    del host
    probe: Probe = TcpCheck() if each.grpc_use_tls else GrpcCheck(service=service.strip("/"))
    return probe, port


def _http(each: CheckFields, path: Path) -> tuple[Probe, int]:
    """Passing is 2xx, as Consul has it."""
    url = each.http or ""
    host, port, rest = _target(url, path)
    if url.startswith("https:"):
        return TcpCheck(), port or 443
    if not url.startswith("http:") or not each.method.isalpha():
        said = "is not what can be asked by HTTP"
        raise refusal(path, said, "a URL such as http://localhost:80/health, a method such as GET")
    probe = HttpCheck(
        path=rest or "/",
        host="" if host in HERE else host,
        method=each.method.upper(),
        statuses=(200, 299),
    )
    return probe, port or 80


def _target(url: str, path: Path) -> tuple[str, int, str]:
    """Host, port (0: not said) and what follows of a URL."""
    allowed = "HOST:PORT, or a URL with one"
    try:
        parts: Any = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
    except ValueError:
        raise refusal(path, "has no host and port that can be read", allowed) from None
    if not host or any(not "!" <= letter <= "~" for letter in url):
        raise refusal(path, "has no host and port that can be read", allowed)
    query = f"?{parts.query}" if parts.query else ""
    return host, port, f"{parts.path}{query}"
