# SPDX-License-Identifier: Apache-2.0
"""How much throughput is left with everything on: windows with and without, in one load run."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import nginx, processes, spread, toggled, windows, wrk
from benchmarks.pace import Pace, say
from benchmarks.processes import BenchError
from benchmarks.rows import Bar, Row, number

KEPT = 0.95
LEAST_COUNTED = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Rates of windows without, with, without … ; of nginx's requests in windows with, the part
    that was counted; and the part of the processors that other work took meanwhile."""

    rates: list[float]
    counted: float
    elsewhere: float


def measure(pace: Pace) -> Iterator[Row]:
    """The ratio over the windows, with its interval."""
    pairs = pace.pick(30, 5)
    count = 2 * pairs + 1
    say(f"tap: throughput, {count} windows of {windows.SECONDS:g} s, alternately without and with")
    run = _run(count)
    ratios = spread.neighbour_ratios(run.rates)
    found = spread.interval(ratios)
    yield Row(
        name="throughput kept with everything on",
        ours=found.mean,
        unit="of without",
        peer="the same load with nothing attached",
        theirs=1.0,
        bar=Bar(bound="≥", figure=KEPT),
        how=f"mean {found}; each window with over the mean of its two neighbours without: "
        f"{spread.spread(ratios)}. Without {number(spread.median(run.rates[::2]))} requests/s, "
        f"with {number(spread.median(run.rates[1::2]))} (medians). Every link detached and "
        "attached again and the agent held, within one run of wrk; wrk and nginx pinned to a core "
        f"each; other work took {run.elsewhere:.0%} of the processors",
    )
    yield Row(
        name="counted in windows with everything on",
        ours=run.counted,
        unit="of nginx's",
        bar=Bar(bound="≥", figure=LEAST_COUNTED),
        how="so that it was the tap at work that was measured; not more exact, because what is in "
        "flight when links come and go is seen in part",
    )


def _run(count: int) -> Run:
    client_core, server_core = processes.cores()
    span = count * (windows.SECONDS + windows.SETTLE_SECONDS + 0.25) + 3
    rates: list[float] = []
    passed = 0
    with nginx.served(cpu=server_core) as server, toggled.up() as toggle:
        agent = toggle.agent
        with wrk.Load(server.url(), seconds=span, cpu=client_core) as load:
            others = processes.Elsewhere(load.pid, server.worker, agent.pid)
            time.sleep(windows.SECONDS)  # its connections are made while everything is on
            began = 0
            for window in range(count):
                if window % 2 == 0:
                    passed += server.requests().requests - began
                    toggle.off()
                else:
                    toggle.on()
                    began = server.requests().requests
                rates.append(windows.rate(server))
            if not load.running():
                raise BenchError("wrk ended before the last window: this machine is too busy")
            elsewhere = others.share()
        toggle.on()
        answered = sum(row.requests for row in agent.totals(server.ports[0]))
    return Run(rates=rates, counted=answered / passed, elsewhere=elsewhere)
