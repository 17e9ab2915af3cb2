# SPDX-License-Identifier: Apache-2.0
"""How a service behaves, in words every dialect shares: checks, ejection, splits.

They are fields of our own Service and annotations `undermesh.io/…` of a Kubernetes one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Protocol

from msgspec import Meta

from undermesh.manifests import scalars
from undermesh.manifests.faults import Fault, Path, Refused, refusal
from undermesh.manifests.metadata import Wire
from undermesh.manifests.scalars import Duration, Lasting, Port
from undermesh.model.service import (
    Check,
    Ejection,
    GrpcCheck,
    HttpCheck,
    Probe,
    Split,
    TcpCheck,
)

Count = Annotated[int, Meta(ge=1, le=1000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Status = Annotated[int, Meta(ge=100, le=599)]


def _path(text: str) -> str:
    if not text.startswith("/") or any(not "!" <= letter <= "~" for letter in text):
        raise ValueError("is not the path of a URL")
    return text


def _method(text: str) -> str:
    if not (text.isascii() and text.isalpha() and text.isupper()):
        raise ValueError("is not a method")
    return text


HttpPath = Annotated[
    str, Meta(extra={"parse": _path, "allowed": "a path such as /healthz, printable ASCII"})
]
HttpMethod = Annotated[str, Meta(extra={"parse": _method, "allowed": "a method such as GET"})]


class HttpFields(Wire):
    """`check.http`."""

    path: HttpPath = "/"
    host: str = ""
    method: HttpMethod = "GET"
    statuses: Annotated[list[Status], Meta(min_length=2, max_length=2)] | None = None


class GrpcFields(Wire):
    """`check.grpc`."""

    service: str = ""


class TcpFields(Wire):
    """`check.tcp`, which has no fields."""


class CheckFields(Wire):
    """`check`: active checking, one of three ways."""

    tcp: TcpFields | None = None
    http: HttpFields | None = None
    grpc: GrpcFields | None = None
    interval: Lasting = "10s"
    timeout: Lasting = "2s"
    healthy_after: Count = 2
    unhealthy_after: Count = 3
    port: Port | None = None


class EjectionFields(Wire):
    """`ejection`: passive checking."""

    interval: Lasting = "5s"
    failures: Count = 3
    requests: Annotated[int, Meta(ge=1, le=1_000_000)] = 20
    errors: Share = 0.5
    slowness: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    base: Lasting = "10s"
    most: Duration = "5m"
    share: Share = 0.5


class SplitFields(Wire):
    """One of `splits`."""

    weight: Annotated[int, Meta(ge=0, le=65535)]
    labels: dict[str, str]


def check(wire: CheckFields, path: Path) -> Check:
    """Active checking as it was said at `path`."""
    ways = [(name, way) for name in ("tcp", "http", "grpc") if (way := getattr(wire, name))]
    if len(ways) != 1:
        said = " and ".join(name for name, _ in ways) or "neither of them"
        raise refusal(path, f"has {said}", "one of tcp: {}, http: {…}, grpc: {…}")
    interval, timeout = scalars.positive(wire.interval), scalars.positive(wire.timeout)
    return Check(
        probe=_probe(ways[0][1], path),
        interval=interval,
        timeout=timeout,
        healthy_after=wire.healthy_after,
        unhealthy_after=wire.unhealthy_after,
        port=wire.port or 0,
    )


def _probe(way: TcpFields | HttpFields | GrpcFields, path: Path) -> Probe:
    match way:
        case HttpFields():
            first, last = way.statuses or (200, 399)
            if first > last:
                said = "is not a first and a last status"
                raise refusal((*path, "http", "statuses"), said, "such as [200, 299]")
            return HttpCheck(
                path=_path(way.path),
                host=way.host and scalars.host(way.host),
                method=_method(way.method),
                statuses=(first, last),
            )
        case GrpcFields():
            return GrpcCheck(service=way.service)
        case TcpFields():
            return TcpCheck()


def ejection(wire: EjectionFields, path: Path) -> Ejection:
    """Passive checking as it was said at `path`."""
    base, most = scalars.positive(wire.base), scalars.duration(wire.most)
    if most < base:
        said = "is shorter than the first time out"
        raise refusal((*path, "most"), said, f"base ({wire.base}) or longer")
    return Ejection(
        interval=scalars.positive(wire.interval),
        failures=wire.failures,
        requests=wire.requests,
        errors=wire.errors,
        slowness=wire.slowness,
        base=base,
        most=most,
        share=wire.share,
    )


def splits(wire: list[SplitFields], path: Path) -> tuple[Split, ...]:
    """Shares of the traffic as they were said at `path`."""
    if wire and not sum(part.weight for part in wire):
        said = "has weights that sum to zero: nobody would be chosen"
        raise refusal(path, said, "at least one weight above 0")
    empty = [index for index, part in enumerate(wire) if not part.labels]
    if empty:
        raise Refused(
            [
                Fault(
                    path=(*path, index, "labels"),
                    message="is empty and would be every endpoint",
                    allowed="the labels of the endpoints that get this share",
                )
                for index in empty
            ]
        )
    return tuple(Split(weight=part.weight, labels=MappingProxyType(part.labels)) for part in wire)


class Behaving(Protocol):
    """Fields of a service, or its annotations."""

    @property
    def splits(self) -> list[SplitFields]: ...
    @property
    def check(self) -> CheckFields | None: ...
    @property
    def ejection(self) -> EjectionFields | None: ...


@dataclass(frozen=True, slots=True)
class Behaved:
    """The three as the model has them."""

    splits: tuple[Split, ...]
    check: Check | None
    ejection: Ejection | None


def behaved(wire: Behaving, at: Callable[[str], Path]) -> Behaved:
    """All three, `at` the paths of their names. Raises Refused for all of them together."""
    faults: list[Fault] = []
    made: dict[str, Any] = {"splits": (), "check": None, "ejection": None}
    mean: Mapping[str, Callable[[Any, Path], object]] = {
        "splits": splits,
        "check": check,
        "ejection": ejection,
    }
    for name, meaning in mean.items():
        if given := getattr(wire, name):
            try:
                made[name] = meaning(given, at(name))
            except Refused as refused:
                faults += refused.faults
    if faults:
        raise Refused(faults)
    return Behaved(**made)
