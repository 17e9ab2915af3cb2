# SPDX-License-Identifier: Apache-2.0
"""Conversations with bytes changed, dropped and made up: wrong is never guessed to be right."""

import random
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kernel.conversations import Conversation, conversations, segments
from tests.kernel.judging import Judge

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PACE = settings(
    max_examples=200,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
ENDS = st.sampled_from(("client", "server"))
OPAQUE = 14
TRIES = 64
"""UM_LOST_TRIES: so many segments are looked at in vain before a connection is left alone."""

BYTES = b"\r\n :;,0179afAFzGETHP/.-\x00\x16\x17\xff"


@given(said=conversations(), ours=ENDS, seed=st.integers(0, 1 << 32))
@PACE
def test_changed_bytes(
    judge: Judge, said: Conversation, ours: Literal["client", "server"], seed: int
) -> None:
    """No more requests than there were request lines, and one desync at most."""
    luck = random.Random(seed)
    lines = [(side, _changed(text, luck)) for side, text in said.lines]
    judge.begin(ours=ours)
    for side, offset, payload in segments(lines, luck=luck):
        judge.say(side, offset, payload)
    socket = judge.socket
    assert int(socket["runs_tail"]) - int(socket["runs_head"]) in range(9)
    judge.over()

    asked = b"".join(text for side, text in lines if side == "client")
    most = asked.count(b" HTTP/1.")
    assert sum(one.requests for one in judge.series().values()) <= most
    assert judge.desyncs <= 1
    for one in judge.series().values():
        assert one.ended <= one.requests
        assert one.request_bytes <= len(asked)


@given(
    ours=ENDS,
    size=st.integers(1, 100),
    noise=st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789 :/\0", min_size=1, max_size=200),
)
@PACE
def test_it_finds_its_way_back(
    judge: Judge, ours: Literal["client", "server"], size: int, noise: str
) -> None:
    """After segments that begin no message, the next requests are counted, and nothing else is."""
    garbage = noise.encode()
    judge.begin(ours=ours)
    judge.say("client", 0, GET)
    judge.say("server", 0, OK)
    for at in range(0, len(garbage), size):
        judge.say("client", len(GET) + at, garbage[at : at + size])
    for number in range(1, 4):
        judge.say("client", number * len(GET) + len(garbage), GET)
        judge.say("server", number * len(OK), OK)

    given_up = int(judge.socket["sent"]["phase"]) == OPAQUE
    assert given_up == (-(-len(garbage) // size) > TRIES)
    assert judge.series()["GET", 200].requests == (1 if given_up else 4)
    assert judge.desyncs == 1


def _changed(text: bytes, luck: random.Random) -> bytes:
    raw = bytearray(text)
    for _ in range(luck.choice((0, 0, 1, 1, 3))):
        at = luck.randrange(len(raw))
        match luck.randrange(4):
            case 0:
                raw[at] = luck.choice(BYTES)
            case 1 if len(raw) > 1:
                del raw[at : at + luck.randint(1, min(50, len(raw) - 1))]
            case 2:
                raw[at:at] = bytes(luck.choices(BYTES, k=luck.randint(1, 20)))
            case _:
                raw[at:at] = raw[at // 2 : at]
    return bytes(raw) or b"x"
