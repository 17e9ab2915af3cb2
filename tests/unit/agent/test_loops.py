# SPDX-License-Identifier: Apache-2.0
import asyncio
import logging

import pytest

from undermesh.agent.loops import Loop, Pace


def loop_of(round_, seconds=0.001):
    return Loop(pace=Pace(name="sweep", seconds=seconds), round_=round_)


def test_rounds_follow_each_other():
    rounds, enough = [], asyncio.Event()

    def round_():
        rounds.append(1)
        if len(rounds) == 5:
            enough.set()

    async def some():
        task = asyncio.create_task(loop_of(round_).task())
        await asyncio.wait_for(enough.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(some())


def test_a_failing_round_is_counted_and_logged_once_and_tried_again(caplog):
    answers = [ValueError("no"), ValueError("no"), None]

    def round_():
        answer = answers.pop(0)
        if answer:
            raise answer

    loop = loop_of(round_)
    with caplog.at_level(logging.WARNING):
        loop.run_once()
        loop.run_once()
        assert loop.status().problem == "ValueError: no"
        loop.run_once()
    status = loop.status()
    assert (status.rounds, status.failures, status.problem) == (3, 2, "")
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_failures_in_a_row_are_tried_at_ever_longer_intervals():
    def round_():
        raise ValueError

    loop = loop_of(round_, seconds=1.0)
    rests = []
    for _ in range(8):
        loop.run_once()
        rests.append(loop.rest())
    assert rests == [2, 4, 8, 16, 30, 30, 30, 30]


def test_a_costly_round_is_followed_by_a_longer_rest():
    def busy():
        for _ in range(300_000):
            pass

    loop = loop_of(busy)
    loop.run_once()
    assert loop.rest() > loop.status().last_ns / 1e9


def test_what_ends_the_process_is_not_held_up():
    def round_():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop_of(round_).run_once()
