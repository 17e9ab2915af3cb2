# SPDX-License-Identifier: Apache-2.0
"""An agent as an object: one method per question of API v1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from undermesh.client.desired import PATIENCE_SECONDS, Desired
from undermesh.client.errors import AnswerUnreadable
from undermesh.client.transport import Target, TcpTarget, Transport, UnixTarget

# A command needs one of these: each is imported where it is asked for, which keeps the others'
# start short.
if TYPE_CHECKING:
    from undermesh.wire.drops import DropRow, Drops
    from undermesh.wire.edges import Edges
    from undermesh.wire.explain import Explained
    from undermesh.wire.flows import FlowRow, Flows
    from undermesh.wire.graph import Graph
    from undermesh.wire.samples import SampleRow, Samples
    from undermesh.wire.status import Status
    from undermesh.wire.workloads import Registered, Workloads

RUNTIME_DIRECTORY = Path("/run/undermesh")
TIMEOUT_SECONDS = 10.0

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """In a followed stream: `rows` rows did not reach this reader, because it was too slow."""

    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list of flows, samples or drops is narrowed to; None and "" narrow nothing."""

    workload: str | None = None
    port: int | None = None
    protocol: str | None = None
    peer: str | None = None
    state: str | None = None
    kind: str | None = None
    reason: str | None = None
    limit: int | None = None

    def query(self) -> dict[str, str]:
        named = {name: getattr(self, name) for name in self.__slots__}
        return {name: str(value) for name, value in named.items() if value not in (None, "")}


class Client:
    """Questions to one agent. A context manager; not safe for use by several threads at once.

    Raises `AgentUnreachable` when nobody answers, `RequestRefused` when the agent says no,
    `AnswerUnreadable` when what answers is no agent. Fields this version does not know are
    ignored, fields the agent does not send have their defaults: one version older or newer is
    no error.
    """

    def __init__(self, *, target: Target, timeout: float = TIMEOUT_SECONDS) -> None:
        self.target = target
        self._transport = Transport(target=target, timeout=timeout)
        patient = Transport(target=target, timeout=max(timeout, PATIENCE_SECONDS))
        self.desired = Desired(patient, self._decode)
        """What this agent is to bring about: manifests, and what became of them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes kept connections; the next question opens another."""
        self._transport.close()
        self.desired.close()

    def status(self, *, config: bool = False) -> Status:
        """The agent about itself; `config` adds its effective configuration, secrets masked."""
        from undermesh.wire.status import Status

        return self._get("/v1/status", {"config": "1"} if config else {}, Status)

    def edges(self, *, window: float | None = None, total: bool = False) -> Edges:
        """Traffic per edge in the last `window` seconds (the agent's default: 10), or, with
        `total`, since the last `down`."""
        from undermesh.wire.edges import Edges

        return self._get("/v1/edges", _period(window, total), Edges)

    def graph(self, *, window: float | None = None, total: bool = False) -> Graph:
        """The same traffic as nodes and edges."""
        from undermesh.wire.graph import Graph

        return self._get("/v1/graph", _period(window, total), Graph)

    def workloads(self) -> Workloads:
        """Whoever owns sockets on the node, those lately gone included."""
        from undermesh.wire.workloads import Workloads

        return self._get("/v1/workloads", {}, Workloads)

    def explain(self, to: str, port: int | None = None) -> Explained:
        """The service a name or an address leads to, its backends and the state of each."""
        from undermesh.wire.explain import Explained

        asked = {"to": to} if port is None else {"to": to, "port": str(port)}
        return self._get("/v1/explain", asked, Explained)

    def flows(self, narrow: Filter | None = None) -> Flows:
        """Connections live, ended and failed; newest last."""
        from undermesh.wire.flows import Flows

        return self._get("/v1/flows", (narrow or Filter()).query(), Flows)

    def follow_flows(self, narrow: Filter | None = None) -> Iterator[FlowRow | Missed]:
        """Flows as they happen, for as long as the agent lives."""
        from undermesh.wire.flows import FlowRow

        return self._follow("/v1/flows", narrow, FlowRow)

    def samples(self, narrow: Filter | None = None) -> Samples:
        """Requests out of the bounded sample; newest last."""
        from undermesh.wire.samples import Samples

        return self._get("/v1/samples", (narrow or Filter()).query(), Samples)

    def follow_samples(self, narrow: Filter | None = None) -> Iterator[SampleRow | Missed]:
        """Sampled requests as they are answered."""
        from undermesh.wire.samples import SampleRow

        return self._follow("/v1/samples", narrow, SampleRow)

    def drops(self, narrow: Filter | None = None) -> Drops:
        """Packets the kernel threw away, by reason, since the last `down`."""
        from undermesh.wire.drops import Drops

        return self._get("/v1/drops", (narrow or Filter()).query(), Drops)

    def follow_drops(self, narrow: Filter | None = None) -> Iterator[DropRow | Missed]:
        """Growth of the drop counters, as it is seen."""
        from undermesh.wire.drops import DropRow

        return self._follow("/v1/drops", narrow, DropRow)

    def register(
        self, *, namespace: str, name: str, labels: Mapping[str, str], exe: str | None = None
    ) -> Registered:
        """Asks for a cgroup of its own for one named workload; see `Registered.cgroup`."""
        from undermesh.wire.workloads import Register, Registered

        body = Register(name=name, namespace=namespace, labels=dict(labels), exe=exe)
        payload = self._transport.ask("POST", "/v1/workloads", body=msgspec.json.encode(body))
        return self._decode(payload, Registered)

    def unregister(self, identifier: str) -> None:
        """Gives the cgroup of `register` back; the agent removes it when its last process ends."""
        self._transport.ask("DELETE", f"/v1/workloads/{identifier}")

    def shutdown(self) -> None:
        """Asks the agent to end. Its data plane stays pinned and goes on counting."""
        self._transport.ask("POST", "/v1/shutdown", body=b'{"remove": false}')

    def _get(self, path: str, query: Mapping[str, str], kind: type[Answer]) -> Answer:
        return self._decode(self._transport.ask("GET", path, query=query), kind)

    def _follow(
        self, path: str, narrow: Filter | None, kind: type[Answer]
    ) -> Iterator[Answer | Missed]:
        query = {**(narrow or Filter()).query(), "follow": "1"}
        for line in self._transport.stream(path, query=query):
            if line.startswith(b'{"dropped"'):
                yield Missed(rows=self._decode(line, dict[str, int])["dropped"])
            else:
                yield self._decode(line, kind)

    def _decode(self, payload: bytes, kind: type[Answer]) -> Answer:
        try:
            return msgspec.json.decode(payload, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AnswerUnreadable(
                target=str(self.target), what=f"not as the API does ({error})"
            ) from error


def connect(
    *,
    instance: str = "default",
    socket: str | Path | None = None,
    address: str | None = None,
    token: str | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> Client:
    """A client of the agent `instance` on this host, of the one at `socket` (a unix socket), or of
    the one that listens at `address` ("127.0.0.1:7600") and takes `token`.

        with undermesh.connect() as agent:
            for edge in agent.edges(window=10).edges: ...

    Nothing is sent before the first question. Raises ValueError for an address without port or
    without token.
    """
    return Client(target=_target(instance, socket, address, token), timeout=timeout)


def _target(
    instance: str, socket: str | Path | None, address: str | None, token: str | None
) -> Target:
    if address is None:
        path = Path(socket) if socket is not None else RUNTIME_DIRECTORY / f"{instance}.sock"
        return UnixTarget(path=path)
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdecimal():
        raise ValueError(f"{address!r} is not HOST:PORT")
    if not token:
        raise ValueError(f"an agent at {address} wants a token; its file is named at `up`")
    return TcpTarget(host=host.strip("[]"), port=int(port), token=token)


def _period(window: float | None, total: bool) -> dict[str, str]:
    if total:
        return {"total": "1"}
    return {} if window is None else {"window": f"{window:g}"}
