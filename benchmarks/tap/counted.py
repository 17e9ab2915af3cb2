# SPDX-License-Identifier: Apache-2.0
"""Is every request counted? Three counters of the same run must agree to the last one.

wrk ends with requests in flight. So that it is known what became of them, the server is stopped
half a second before: wrk then reads every answer there is and has exactly one unanswered request
left on each connection. Those must be counted as cut, all others as answered.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks import agent, nginx, processes, wrk
from benchmarks.pace import Pace, say
from benchmarks.rows import Bar, Row, number

LEAST_RATE = 100_000
DRAIN_SECONDS = 0.5

# Counters of connections whose bytes could not be followed, whoever's they are. For the edges of
# this benchmark their rows have `desync`.
_OF_ONE_CONNECTION = {
    "desyncs",
    "held_overflow",
    "pipeline_merged",
    "malformed",
    "answers_malformed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """One run as each of the three saw it, and the server's rate while it lasted."""

    wrk_read: int
    nginx_began: int
    answered: int
    cut: int
    in_flight: int
    desync: int
    rate: float
    seconds: float


def measure(pace: Pace) -> Iterator[Row]:
    """Rows for an answer from memory and for a small file."""
    seconds = pace.pick(12, 3)
    client_core, server_core = processes.cores()
    desync = 0
    with nginx.served(cpu=server_core) as server, agent.up() as watching:
        for port, (path, what) in enumerate(
            (("/", "answer from memory"), ("/file", f"file of {nginx.FILE_BYTES} bytes"))
        ):
            say(f"tap: counting {seconds} s of requests ({what})")
            counts = run(
                server, watching, server.url(path, port=port), seconds=seconds, cpu=client_core
            )
            yield from _rows(counts, what, barred=port == 0)
            desync += counts.desync
        lost = watching.lost()
    ours = {name: count for name, count in lost.items() if name not in _OF_ONE_CONNECTION}
    others = {name: lost[name] for name in _OF_ONE_CONNECTION & lost.keys()}
    elsewhere = f"; elsewhere on the host: {_listed(others)}" if others and not desync else ""
    yield Row(
        name="lost, by any counter of the data path",
        ours=desync + sum(ours.values()),
        unit="events",
        bar=Bar(bound="=", figure=0),
        how=f"after both runs; {_listed({'desync': desync, **ours})}{elsewhere}",
    )


def run(
    server: nginx.Nginx, watching: agent.Agent, url: str, *, seconds: float, cpu: int
) -> Counts:
    """One run of wrk against `url`, with nobody else asking the server."""
    port = int(url.split(":")[2].split("/", maxsplit=1)[0])
    before = server.requests()
    with wrk.Load(url, seconds=seconds, cpu=cpu) as load:
        time.sleep(DRAIN_SECONDS)
        began = server.requests()
        time.sleep(seconds - 2 * DRAIN_SECONDS)
        ended = server.requests()
        server.freeze()
        try:
            said = load.wait()
            # Its sockets must be gone for good: an answer that still reached one would count.
            processes.wait_until(lambda: not processes.clients_of(port), what="wrk's sockets to go")
        finally:
            server.thaw()
    after = _settled(server)
    rows = [row for row in watching.totals(port) if row.protocol == "http"]
    return Counts(
        wrk_read=said.requests,
        nginx_began=after - before.requests,
        answered=sum(row.requests for row in rows),
        cut=sum(row.cut for row in rows),
        desync=sum(row.desync for row in rows),
        in_flight=load.connections,
        rate=(ended.requests - began.requests) / (ended.at_ns - began.at_ns) * 1e9,
        seconds=said.seconds,
    )


def _listed(counts: Mapping[str, int]) -> str:
    """ "desync 2, series_full 1" """
    named = [f"{name} {count:,}" for name, count in counts.items() if count]
    return ", ".join(named) or "all zero"


def _settled(server: nginx.Nginx) -> int:
    """nginx's count once it does not move any more."""
    seen = [server.requests().requests]

    def still() -> bool:
        seen.append(server.requests().requests)
        return seen[-1] == seen[-2]

    processes.wait_until(still, what="nginx to finish", every=0.1)
    return seen[-1]


def _rows(counts: Counts, what: str, *, barred: bool) -> Iterator[Row]:
    yield Row(
        name=f"requests counted, {what}",
        ours=counts.answered,
        unit="requests",
        peer="answers wrk read",
        theirs=counts.wrk_read,
        bar=Bar(bound="=", figure=counts.wrk_read),
        how=f"one run of {counts.seconds:g} s, kept connections, wrk and nginx pinned to a core "
        "each; nginx was stopped before wrk ended, so that every answer was read",
    )
    yield Row(
        name=f"answered and cut, {what}",
        ours=counts.answered + counts.cut,
        unit="requests",
        peer="requests nginx began (stub_status)",
        theirs=counts.nginx_began,
        bar=Bar(bound="=", figure=counts.nginx_began),
        how=f"{number(counts.answered)} answered and {counts.cut} cut, of {counts.in_flight} in "
        "flight when nginx was stopped",
    )
    yield Row(
        name=f"rate of requests, {what}",
        ours=round(counts.rate),
        unit="requests/s",
        bar=Bar(bound="≥", figure=LEAST_RATE) if barred else None,
        how="by nginx's counter, over the run without its first and last half second",
    )
