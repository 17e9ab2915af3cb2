# SPDX-License-Identifier: Apache-2.0
"""Rise and fall: how many answers in a row turn a target.

A target starts unknown and its first answer decides, as with Envoy: one pass is enough to be let
in, one failure keeps it out. Only a target known to have been in use already (the agent was
restarted) has `unhealthy_after` failures to go.
"""

from dataclasses import dataclass
from typing import assert_never

from undermesh.health.answer import Answer, Failed, NotTried, Passed
from undermesh.model.service import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of one target. `against` counts answers in a row that contradict `healthy`."""

    healthy: bool | None = None
    presumed: bool = False
    """It was in use before anybody here asked."""
    against: int = 0
    since_ns: int = 0
    latency_ns: int = 0
    reason: str = ""


def after(record: Record, check: Check, answer: Answer, *, now_ns: int, latency_ns: int) -> Record:
    """The record with one more answer in it."""
    match answer:
        case NotTried():
            return record
        case Passed(reason) | Failed(reason):
            passed = isinstance(answer, Passed)
        case _:
            assert_never(answer)
    healthy, since_ns, against = record.healthy, record.since_ns, 0
    if healthy is None and record.presumed:
        healthy, since_ns = True, now_ns
    if passed != healthy:
        against = record.against + 1
        needed = check.healthy_after if passed else check.unhealthy_after
        if healthy is None or against >= needed:
            healthy, since_ns, against = passed, now_ns, 0
        else:
            outcome = "passed" if passed else "failed"
            reason = f"{against} of {needed} checks in a row {outcome}: {reason}"
    return Record(
        healthy=healthy,
        presumed=record.presumed,
        against=against,
        since_ns=since_ns,
        latency_ns=latency_ns,
        reason=reason,
    )
