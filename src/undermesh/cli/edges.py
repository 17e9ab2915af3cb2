# SPDX-License-Identifier: Apache-2.0
"""The table of edges: its columns, its orders, and which rows a person asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from undermesh.cli import units
from undermesh.cli.paint import Paint, Tone
from undermesh.cli.table import Cell, Column, render
from undermesh.wire.edges import EdgeRow, Edges

SLOW_MS = 1000.0
"""A p99 from here on is painted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which edges, in which order, how many (0: all)."""

    sort: str = "rate"
    ascending: bool = False
    limit: int = 0
    workload: str | None = None
    namespace: str | None = None
    protocol: str | None = None


@dataclass(frozen=True, slots=True)
class _Figure:
    """A column and how one edge is shown in it; `seconds` is the length of the window."""

    column: Column
    cell: Callable[[EdgeRow, float], Cell]


def select(rows: Sequence[EdgeRow], choice: Choice) -> list[EdgeRow]:
    """The rows of `choice`, in its order; rows alike in it are in order of their names."""
    kept = [row for row in rows if _wanted(row, choice)]
    kept.sort(key=lambda row: (row.client, row.server, row.port, row.protocol))
    kept.sort(key=ORDERS[choice.sort], reverse=_descends(choice))
    return kept[: choice.limit] if choice.limit else kept


def table(
    answer: Edges, choice: Choice, *, total: bool, width: int | None, paint: Paint
) -> list[str]:
    """The table of `answer`, header first; a sentence when there is nothing to show."""
    rows = select(answer.edges, choice)
    seconds = window_seconds(answer)
    figures = _figures(total=total)
    columns = [replace(f.column, marked=key == choice.sort) for key, f in figures.items()]
    cells = [[figure.cell(row, seconds) for figure in figures.values()] for row in rows]
    lines = render(columns, cells, width=width, paint=paint)
    if not rows:
        lines.append(paint(_nothing(answer, choice), "dim"))
    return lines


def summary(answer: Edges) -> str:
    """5 edges · 412 requests/s · 1.2% errors."""
    rows = answer.edges
    requests, errors = sum(r.requests for r in rows), sum(r.errors for r in rows)
    pace = sum(r.rate for r in rows if counts_requests(r))
    edges = "1 edge" if len(rows) == 1 else f"{len(rows)} edges"
    pace_text = units.rate(pace).removesuffix("/s")
    return f"{edges} · {pace_text} requests/s · {units.share(errors, requests)} errors"


def counts_requests(row: EdgeRow) -> bool:
    """Whether the row's protocol is decoded to requests (else only connections are counted)."""
    return row.protocol in ("http", "dns")


def title(name: str, namespace: str) -> str:
    """A workload's name; its namespace is said where it is not the default one."""
    return name if namespace in ("", "default") else f"{namespace}/{name}"


def window_seconds(answer: Edges) -> float:
    """Length of the period an answer is about; 1 when it does not say."""
    since, until = units.parse_time(answer.since), units.parse_time(answer.until)
    if since is None or until is None:
        return 1.0
    return max(0.001, (until - since).total_seconds())


ORDERS: Mapping[str, Callable[[EdgeRow], float | str]] = {
    "rate": lambda row: row.rate if counts_requests(row) else row.rate * 1e-6,
    "requests": lambda row: float(row.requests),
    "errors": lambda row: float(row.errors + row.failures),
    "p50": lambda row: row.p50_ms or 0.0,
    "p90": lambda row: row.p90_ms or 0.0,
    "p99": lambda row: row.p99_ms or 0.0,
    "bytes": lambda row: float(row.rx_bytes + row.tx_bytes),
    "rtt": lambda row: row.rtt_us or 0.0,
    "retransmits": lambda row: float(row.retransmits),
    "connections": lambda row: float(row.connections),
    "client": lambda row: row.client,
    "server": lambda row: row.server,
}


def _descends(choice: Choice) -> bool:
    return (choice.sort not in ("client", "server")) != choice.ascending


def _wanted(row: EdgeRow, choice: Choice) -> bool:
    if choice.workload and choice.workload not in (
        row.client,
        row.server,
        f"{row.client_namespace}/{row.client}",
        f"{row.server_namespace}/{row.server}",
    ):
        return False
    if choice.namespace and choice.namespace not in (row.client_namespace, row.server_namespace):
        return False
    return not choice.protocol or choice.protocol == row.protocol


def _nothing(answer: Edges, choice: Choice) -> str:
    if answer.edges:
        return f"no edge of {len(answer.edges)} fits these filters"
    return f"no traffic in the last {units.span(window_seconds(answer))}"


def _figures(*, total: bool) -> dict[str, _Figure]:
    """By key of ORDERS; the order here is the order on the screen."""
    pace = _Figure(Column(title="REQS", side="right"), _requests)
    return {
        "client": _Figure(Column(title="CLIENT", elastic=True, least=14), _client),
        "server": _Figure(Column(title="SERVER", elastic=True, least=14), _server),
        "port": _Figure(Column(title="PORT", side="right", weight=80), _port),
        "protocol": _Figure(Column(title="PROTO", weight=90), _protocol),
        **({"requests": pace} if total else {"rate": _Figure(_RATE, _rate)}),
        "errors": _Figure(Column(title="ERR", side="right", weight=100), _errors),
        "p50": _Figure(Column(title="P50", side="right", weight=70), _p50),
        "p90": _Figure(Column(title="P90", side="right", weight=40), _p90),
        "p99": _Figure(Column(title="P99", side="right"), _p99),
        "bytes": _Figure(
            Column(title="BYTES" if total else "BYTES/S", side="right", weight=60),
            _bytes if total else _bytes_per_second,
        ),
        "connections": _Figure(Column(title="CONN", side="right", weight=20), _connections),
        "failures": _Figure(Column(title="FAIL", side="right", weight=30), _failures),
        "rtt": _Figure(Column(title="RTT", side="right", weight=50), _rtt),
        "retransmits": _Figure(Column(title="RETR", side="right", weight=35), _retransmits),
    }


_RATE = Column(title="RATE", side="right")


def _client(row: EdgeRow, seconds: float) -> Cell:
    return Cell(title(row.client, row.client_namespace), "cyan")


def _server(row: EdgeRow, seconds: float) -> Cell:
    names = ",".join(row.tls_names) if row.protocol == "tls" else ""
    name = title(row.server, row.server_namespace)
    return Cell(f"{name} ({names})" if names and names != name else name, "bold")


def _port(row: EdgeRow, seconds: float) -> Cell:
    return Cell(str(row.port), "dim")


def _protocol(row: EdgeRow, seconds: float) -> Cell:
    return Cell(row.protocol)


def _rate(row: EdgeRow, seconds: float) -> Cell:
    return Cell(units.rate(row.rate), "plain" if counts_requests(row) else "dim")


def _requests(row: EdgeRow, seconds: float) -> Cell:
    return Cell(units.count(row.requests) if counts_requests(row) else "")


def _errors(row: EdgeRow, seconds: float) -> Cell:
    if not counts_requests(row):
        return Cell("")
    text = units.share(row.errors, max(row.requests, row.errors))
    return Cell(text, "red" if row.errors else "dim")


def _latency(value: float | None, row: EdgeRow) -> Cell:
    if not counts_requests(row):
        return Cell("")
    tone: Tone = "yellow" if value is not None and value >= SLOW_MS else "plain"
    return Cell(units.milliseconds(value), tone)


def _p50(row: EdgeRow, seconds: float) -> Cell:
    return _latency(row.p50_ms, row)


def _p90(row: EdgeRow, seconds: float) -> Cell:
    return _latency(row.p90_ms, row)


def _p99(row: EdgeRow, seconds: float) -> Cell:
    return _latency(row.p99_ms, row)


def _bytes(row: EdgeRow, seconds: float) -> Cell:
    return Cell(units.size(row.rx_bytes + row.tx_bytes))


def _bytes_per_second(row: EdgeRow, seconds: float) -> Cell:
    return Cell(units.size(round((row.rx_bytes + row.tx_bytes) / seconds)))


def _connections(row: EdgeRow, seconds: float) -> Cell:
    return Cell(units.count(row.open), "dim")


def _failures(row: EdgeRow, seconds: float) -> Cell:
    return Cell(units.count(row.failures), "red") if row.failures else Cell("0", "dim")


def _rtt(row: EdgeRow, seconds: float) -> Cell:
    return Cell(units.microseconds(row.rtt_us), "dim")


def _retransmits(row: EdgeRow, seconds: float) -> Cell:
    if not row.retransmits:
        return Cell("0", "dim")
    return Cell(units.count(row.retransmits), "yellow")
