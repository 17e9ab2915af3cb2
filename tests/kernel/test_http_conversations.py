# SPDX-License-Identifier: Apache-2.0
"""Random valid HTTP/1.x, cut and repeated as TCP may: every request counted, every byte once."""

import random
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kernel.conversations import Conversation, conversations, segments
from tests.kernel.judging import Judge

PACE = settings(
    max_examples=300,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def play(judge: Judge, said: Conversation, *, ours: Literal["client", "server"], seed: int) -> None:
    judge.begin(ours=ours)
    for side, offset, payload in segments(said.lines, luck=random.Random(seed)):
        judge.say(side, offset, payload)
    judge.over()


@given(
    said=conversations(), ours=st.sampled_from(("client", "server")), seed=st.integers(0, 1 << 32)
)
@PACE
def test_counts_what_was_said(
    judge: Judge, said: Conversation, ours: Literal["client", "server"], seed: int
) -> None:
    play(judge, said, ours=ours, seed=seed)

    series = judge.series()
    assert judge.desyncs == 0
    assert {key: one.requests for key, one in series.items()} == said.counts
    assert {key: one.ended for key, one in series.items()} == said.ended
    assert {key: one.response_bytes for key, one in series.items()} == said.response_bytes
    assert sum(one.request_bytes for one in series.values()) == said.request_bytes
    assert int(judge.socket["requests"]) == said.counts.total()
    for one in series.values():
        assert one.bins.sum() == one.requests
        assert one.ended_ns >= one.duration_ns
