# SPDX-License-Identifier: Apache-2.0
"""The prober on real sockets: who is healthy, from when on, and what it costs the others."""

import asyncio
import logging
import os
import socket
import time

import pytest

from tests.unit.health.endpoints import check, closed_port, probing, silent, target, until
from undermesh.health.answer import Failed, NotTried, Passed
from undermesh.health.asking import check_once
from undermesh.model.service import HttpCheck


async def test_a_listener_is_healthy_at_the_first_check(endpoints) -> None:
    port = await endpoints.serve(silent)
    async with probing() as probe:
        begun = time.monotonic_ns()
        probe.aim(target(port), at=check(every=3600))
        verdict = await probe.report(0)
    assert verdict.healthy
    assert verdict.reason == "accepts connections"
    assert begun <= verdict.since_ns <= time.monotonic_ns()
    assert 0 < verdict.latency_ns < 1e9


async def test_a_closed_port_is_unhealthy_at_the_first_check() -> None:
    port = closed_port()
    async with probing() as probe:
        probe.aim(target(port), at=check(every=3600))
        verdict = await probe.report(0)
    assert not verdict.healthy
    assert verdict.reason == f"connecting to 127.0.0.1:{port}: connection refused"


async def test_ipv6(endpoints) -> None:
    port = await endpoints.serve(silent, host="::1")
    async with probing() as probe:
        probe.aim(target(port, host="::1"), at=check(every=3600))
        assert (await probe.report(0)).healthy


async def test_one_that_dies_is_out_after_as_many_failures_as_said_and_back_likewise(
    endpoints,
) -> None:
    port = await endpoints.serve(silent)
    async with probing() as probe:
        probe.aim(target(port), at=check(unhealthy_after=3, healthy_after=2))
        assert (await probe.report(0)).healthy
        await endpoints.close()
        first, second, third = [await probe.report(number) for number in (1, 2, 3)]
        assert first.healthy
        assert first.reason.startswith("1 of 3 checks in a row failed: connecting to")
        assert second.healthy
        assert not third.healthy
        assert third.since_ns > first.since_ns
        await endpoints.serve(silent, port=port)
        risen = await probe.report(4)
        assert not risen.healthy
        assert risen.since_ns == third.since_ns
        assert risen.reason == "1 of 2 checks in a row passed: accepts connections"
        assert (await probe.report(5)).healthy


async def test_one_that_was_in_use_has_failures_to_go() -> None:
    dead = target(closed_port())
    async with probing() as probe:
        probe.aim(dead, at=check(unhealthy_after=2), presumed=[dead])
        assert (await probe.report(0)).healthy
        assert not (await probe.report(1)).healthy


async def test_a_check_with_a_port_of_its_own_asks_there(endpoints) -> None:
    port = await endpoints.serve(silent)
    async with probing() as probe:
        probe.aim(target(closed_port()), at=check(every=3600, port=port))
        assert (await probe.report(0)).healthy


async def test_who_is_no_target_any_more_is_left_alone(endpoints) -> None:
    port = await endpoints.serve(silent)
    other = await endpoints.serve(silent)
    async with probing() as probe:
        probe.aim(target(port), target(other), at=check())
        await probe.report(1)
        probe.aim(target(other), at=check())
        seen, others = endpoints.seen[port], endpoints.seen[other]
        await until(lambda: endpoints.seen[other] > others + 5)
        assert endpoints.seen[port] <= seen + 1
        assert probe.prober.verdicts().keys() == {target(other)}


async def test_another_check_is_made_at_once_and_the_verdict_stays_until_then(endpoints) -> None:
    port = await endpoints.says(b"HTTP/1.1 200 OK\r\n\r\n")
    async with probing() as probe:
        probe.aim(target(port), at=check(every=3600))
        await probe.report(0)
        probe.aim(target(port), at=check(HttpCheck(path="/up"), every=3600))
        assert probe.prober.verdicts()[target(port)].healthy
        assert (await probe.report(1)).reason == "GET /up answered 200"


async def test_the_same_targets_again_change_nothing(endpoints) -> None:
    port = await endpoints.serve(silent)
    async with probing() as probe:
        for _ in range(5):
            probe.aim(target(port), at=check(every=3600))
            await asyncio.sleep(0.01)
        await probe.report(0)
    assert endpoints.seen[port] == 1


async def test_no_more_checks_run_at_once_than_allowed(endpoints) -> None:
    """Silent endpoints take their whole time-out; the others still have their turn."""
    port, good = await endpoints.serve(silent), await endpoints.says(b"HTTP/1.1 204 x\r\n\r\n")
    asked = check(HttpCheck(), within=0.1)
    running = []
    async with probing(concurrency=4) as probe:
        silent_ones = [target(port, name=f"s{number}") for number in range(20)]
        probe.aim(*silent_ones, target(good), at=asked)
        while not any(report.target == target(good) for report in probe.reports):
            running.append(probe.prober.status().running)
            await asyncio.sleep(0.005)
        await until(lambda: len(probe.prober.verdicts()) == 21)
        running.append(probe.prober.status().running)
    assert max(running) == 4


async def test_checks_of_many_are_spread_over_the_interval(endpoints) -> None:
    """No tenth of the interval has more than three times its share."""
    times = []

    async def noted(reader, writer) -> None:
        times.append(time.monotonic())

    port = await endpoints.serve(noted)
    async with probing() as probe:
        probe.aim(*[target(port, name=f"s{number}") for number in range(100)], at=check(every=1.0))
        await until(lambda: len(probe.prober.verdicts()) == 100)
        await asyncio.sleep(1.5)
        times.clear()
        await asyncio.sleep(1.0)
    assert 80 <= len(times) <= 120
    tenths = [int((at - times[0]) * 10) for at in times]
    assert max(tenths.count(tenth) for tenth in set(tenths)) <= 30


async def test_a_socket_connected_to_itself_is_nobody() -> None:
    """What a closed port in the range of outgoing ports looks like, once in a while."""
    port = closed_port()

    def made(_netns, family) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.bind(("127.0.0.1", port))
        return sock

    answer = await check_once(target(port, netns=7), check(), connect_in=made)
    assert answer == Failed(f"connecting to 127.0.0.1:{port}: connection refused")


async def test_an_endpoint_elsewhere_is_reached_by_a_socket_made_there(endpoints) -> None:
    port = await endpoints.serve(silent)
    asked = []

    def made(netns, family) -> socket.socket:
        asked.append((netns, family))
        return socket.socket(family, socket.SOCK_STREAM)

    answer = await check_once(target(port, netns=4711), check(), connect_in=made)
    assert answer == Passed("accepts connections")
    assert asked == [(4711, socket.AF_INET)]


async def test_an_endpoint_whose_namespace_is_gone_is_unhealthy() -> None:
    def made(_netns, _family) -> socket.socket:
        raise FileNotFoundError(2, "No such file or directory")

    answer = await check_once(target(80, netns=4711), check(), connect_in=made)
    assert answer == Failed(
        "connecting to 127.0.0.1:80: network namespace 4711 is gone: no such file or directory"
    )


async def test_what_this_host_cannot_do_is_no_verdict(monkeypatch, caplog, endpoints) -> None:
    port = await endpoints.serve(silent)
    async with probing() as probe:
        probe.aim(target(port), at=check())
        await probe.report(0)
        monkeypatch.setattr(socket, "socket", _no_more_files)
        with caplog.at_level(logging.WARNING, "undermesh.health"):
            await until(lambda: probe.prober.status().not_tried > 3)
        monkeypatch.undo()
        assert probe.prober.verdicts()[target(port)].healthy
        assert probe.prober.status().problem.endswith("opening a socket: too many open files")
    assert len(probe.reports) == 1
    assert len([one for one in caplog.records if "too many open files" in one.message]) == 1


async def test_a_namespace_that_nobody_can_enter_is_no_verdict() -> None:
    answer = await check_once(target(80, netns=1), check(), connect_in=None)
    assert isinstance(answer, NotTried)


async def test_a_report_that_fails_does_not_end_the_checks(endpoints, caplog) -> None:
    port = await endpoints.serve(silent)
    calls = []

    def refuses(verdict) -> None:
        calls.append(verdict)
        raise RuntimeError("nobody listens")

    async with probing() as probe:
        probe.prober._report = refuses
        probe.aim(target(port), at=check())
        await until(lambda: endpoints.seen.get(port, 0) > 3)
    assert calls
    assert "neither an answer nor a failure" in caplog.text


async def test_ending_the_prober_leaves_no_connection(endpoints) -> None:
    port = await endpoints.serve(silent)
    before = len(os.listdir("/proc/self/fd"))
    async with probing() as probe:
        probe.aim(*[target(port, name=f"s{n}") for n in range(20)], at=check(HttpCheck(), within=9))
        await until(lambda: probe.prober.status().running == 20)
        await asyncio.sleep(0.05)
    await endpoints.close()
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)
    assert probe.prober.status().running == 0


def _no_more_files(*_arguments):
    raise OSError(24, "Too many open files")


@pytest.mark.parametrize("seconds", [0.05, 0.2])
async def test_a_silent_endpoint_costs_its_time_out_and_no_more(endpoints, seconds) -> None:
    port = await endpoints.serve(silent)
    begun = time.monotonic()
    answer = await check_once(target(port), check(HttpCheck(), within=seconds), connect_in=None)
    assert answer == Failed(f"connected, but no answer within {seconds:g} s")
    assert time.monotonic() - begun < seconds + 2
