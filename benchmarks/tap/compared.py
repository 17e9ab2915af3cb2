# SPDX-License-Identifier: Apache-2.0
"""The same requests, counted with what an engineer would use today.

Two questions, each answered for undermesh, bpftrace and tcpdump in turn: of the requests of a whole
run, how many did it count; and how much throughput is left while it counts, in windows of one load
run between windows in which nobody counts.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence

from benchmarks import nginx, peers, processes, spread, toggled, windows, wrk
from benchmarks.pace import Pace, say
from benchmarks.processes import BenchError
from benchmarks.rows import Row

_START_SECONDS = 4.0


def measure(pace: Pace) -> Iterator[Row]:
    """Two rows for each peer."""
    seconds, rounds = pace.pick(4, 2), pace.pick(8, 2)
    _, server_core = processes.cores()
    with contextlib.ExitStack() as stack:
        stack.enter_context(peers.tracefs())
        server = stack.enter_context(nginx.served(cpu=server_core))
        toggle = stack.enter_context(toggled.up())
        counters: list[peers.Counter] = [peers.Ours(toggle), peers.Bpftrace(), peers.Tcpdump()]
        toggle.off()
        shares = {}
        for counter in counters:
            say(f"tap: what {counter.name} counts of {seconds} s of requests")
            shares[counter.name] = _share(server, counter, seconds)
        say(f"tap: throughput beside {', '.join(c.name for c in counters)}, {rounds} rounds")
        kept = _kept(server, counters, rounds)
    yield from _rows(shares, kept)


def _share(server: nginx.Nginx, counter: peers.Counter, seconds: int) -> float:
    """Counted over what was there to count; the whole run happens while `counter` counts."""
    client_core, _ = processes.cores()
    counter.start(server)
    try:
        with wrk.Load(server.url(), seconds=seconds, cpu=client_core) as load:
            time.sleep(seconds - 0.5)
            server.freeze()
            try:
                there = load.wait().requests + (0 if counter.answers else load.connections)
                processes.wait_until(
                    lambda: not processes.clients_of(server.ports[0]), what="wrk's sockets to go"
                )
            finally:
                server.thaw()
    finally:
        counter.stop()
    return counter.counted() / there


def _kept(
    server: nginx.Nginx, counters: Sequence[peers.Counter], rounds: int
) -> Mapping[str, list[float]]:
    """By counter: rates while it counts, over the mean of those just before and after."""
    client_core, _ = processes.cores()
    each = 2 * (windows.SECONDS + windows.SETTLE_SECONDS) + _START_SECONDS
    kept: dict[str, list[float]] = {counter.name: [] for counter in counters}
    counters[0].start(server)  # connections are made while undermesh is on
    with wrk.Load(server.url(), seconds=rounds * len(counters) * each, cpu=client_core) as load:
        time.sleep(1.0)
        counters[0].stop()
        before = windows.rate(server)
        for _ in range(rounds):
            for counter in counters:
                counter.start(server)
                try:
                    rate = windows.rate(server)
                finally:
                    counter.stop()
                after = windows.rate(server)
                kept[counter.name].append(2 * rate / (before + after))
                before = after
        if not load.running():
            raise BenchError("wrk ended before the last window: this machine is too busy")
    return kept


def _rows(shares: Mapping[str, float], kept: Mapping[str, list[float]]) -> Iterator[Row]:
    ours, *others = shares
    for other in others:
        yield Row(
            name=f"requests counted, beside {other}",
            ours=shares[ours],
            unit="of all",
            peer=other,
            theirs=shares[other],
            how="a run of wrk each, as fast as it goes, the server stopped before wrk ends: all "
            "are the answers wrk read, for tcpdump and the requests it sent",
        )
    for other in others:
        found, theirs = spread.interval(kept[ours]), spread.interval(kept[other])
        yield Row(
            name=f"throughput kept, beside {other}",
            ours=found.mean,
            unit="of without",
            peer=other,
            theirs=theirs.mean,
            how=f"windows of {windows.SECONDS:g} s in one run of wrk, each over those without "
            f"before and after it: ours {found}, theirs {theirs}; n = {found.count} each",
        )
