# SPDX-License-Identifier: Apache-2.0
"""um_flow records → flows, and the filters asked of them."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import numpy as np
from numpy.typing import NDArray

from undermesh.model.edge import End
from undermesh.model.flow import Address, Flow, FlowState
from undermesh.model.protocol import Protocol, Transport
from undermesh.model.workload import NodeId
from undermesh.telemetry.answers import MAPPED
from undermesh.telemetry.growth import Structured
from undermesh.telemetry.names import Names
from undermesh.telemetry.records import Records
from undermesh.telemetry.vocabulary import Vocabulary

_UDP = 17
_TLS_VERSIONS = {0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFilter:
    """What is asked for; None asks for all.

    `workload` is either end's name, "name" or "namespace/name"; `peer` is either end's name, or an
    address.
    """

    workload: str | None = None
    port: int | None = None
    protocol: Protocol | None = None
    peer: str | None = None
    state: FlowState | None = None


class FlowReader:
    """Turns records into flows. A flow is told by the end that is measured, so those of role SHADOW
    are left out."""

    def __init__(self, *, vocabulary: Vocabulary, names: Names, node: NodeId) -> None:
        self._words = vocabulary
        self._names = names
        self._node = node
        self._numbers = {protocol: number for number, protocol in vocabulary.protocols.items()}

    def select(self, records: Structured, asked: FlowFilter) -> Structured:
        """The records that may match: all that can be told without names."""
        keep = records["role"] != self._words.shadow
        if asked.port is not None:
            keep &= (records["port"] == asked.port) | (records["server_port"] == asked.port)
        if asked.protocol is not None:
            keep &= self._speaks(records, asked.protocol)
        if asked.state is not None:
            states = [
                number for number, state in self._words.states.items() if state is asked.state
            ]
            keep &= np.isin(records["state"], states)
        chosen: Structured = records[keep]
        return chosen

    def read(self, records: Structured, asked: FlowFilter, *, seen_ns: int) -> list[Flow]:
        """Flows that match, in the order of `records`; `seen_ns` is when open ones stood so."""
        chosen = self.select(records, asked)
        matching: list[Flow] = []
        for record in chosen:
            flow = self._flow(record, seen_ns)
            if _matches(flow, asked):
                matching.append(flow)
        return matching

    def last(self, kept: Records, asked: FlowFilter, *, limit: int, seen_ns: int) -> list[Flow]:
        """The newest `limit` kept flows that match, oldest first."""
        parts: list[list[Flow]] = []
        found = 0
        for batch in kept.backwards(1024):
            part = self.read(batch, asked, seen_ns=seen_ns)
            parts.append(part)
            found += len(part)
            if found >= limit:
                break
        return [flow for part in reversed(parts) for flow in part][-limit:] if limit else []

    def _speaks(self, records: Structured, protocol: Protocol) -> NDArray[np.bool_]:
        speaks = records["l7"] == self._numbers[protocol]
        if protocol in (Protocol.TCP, Protocol.UDP):
            transport = (records["l4"] == _UDP) == (protocol is Protocol.UDP)
            speaks |= (records["l7"] == self._words.undecided) & transport
        return np.asarray(speaks, bool)

    def _flow(self, record: np.void, seen_ns: int) -> Flow:
        client, server = int(record["client"]), int(record["server"])
        transport = Transport.UDP if record["l4"] == _UDP else Transport.TCP
        state = self._words.states.get(int(record["state"]), FlowState.CLOSED)
        measured = client if record["role"] == self._words.client else server
        ended = int(record["ended_ns"])
        return Flow(
            node=self._node,
            state=state,
            protocol=self._words.protocols.get(int(record["l7"]), Protocol(transport.value)),
            transport=transport,
            client=self._names.end(client),
            client_address=address(record["client_address"]),
            client_port=int(record["client_port"]),
            server=self._names.server(client, server),
            server_address=address(record["server_address"]),
            server_port=int(record["server_port"]),
            port=int(record["port"]),
            opened_ns=int(record["opened_ns"]),
            ended_ns=(ended or seen_ns) if state is not FlowState.OPEN else None,
            seen_ns=seen_ns,
            connect_ns=int(record["connect_ns"]) or None,
            tx_bytes=int(record["tx_bytes"]),
            rx_bytes=int(record["rx_bytes"]),
            tx_packets=int(record["tx_packets"]),
            rx_packets=int(record["rx_packets"]),
            rtt_us=int(record["srtt_us"]) or None,
            retransmits=int(record["retransmits"]),
            requests=int(record["requests"]),
            failure=self._words.failures.get(int(record["failure"])),
            reset=bool(record["reset"]),
            sni=text(record["sni"]),
            alpn=text(record["alpn"]),
            tls_version=tls_version(int(record["tls_version"])),
            pid=int(record["pid"]),
            exe=self._names.party(measured).exe,
        )


def matcher(wanted: str) -> Callable[[End], bool]:
    """Whether an end goes by `wanted`: its name, or "namespace/name"."""
    return lambda end: wanted in (end.name, end.id)


def address(octets: Collection[int] | bytes) -> Address:
    """16 bytes as an address; v4-mapped ones as IPv4."""
    packed = bytes(octets)
    if packed.startswith(MAPPED):
        return IPv4Address(packed[len(MAPPED) :])
    return IPv6Address(packed)


def text(raw: bytes) -> str:
    """Bytes a stranger sent, as something that is safe to print."""
    shown = bytes(raw).split(b"\0", 1)[0].decode("ascii", "backslashreplace")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in shown)


def tls_version(number: int) -> str:
    """ "1.3" for 0x0304 (RFC 8446 4.2.1); empty for 0; the number in hex when it has no name."""
    return _TLS_VERSIONS.get(number, f"0x{number:04x}" if number else "")


def _matches(flow: Flow, asked: FlowFilter) -> bool:
    ends: Iterable[End] = (flow.client, flow.server)
    if asked.workload is not None and not any(map(matcher(asked.workload), ends)):
        return False
    if asked.peer is None:
        return True
    addresses = (str(flow.client_address), str(flow.server_address))
    return asked.peer in addresses or any(map(matcher(asked.peer), ends))
