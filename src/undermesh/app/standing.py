# SPDX-License-Identifier: Apache-2.0
"""The one state of an endpoint: which of manifest, checks and counters has the last word."""

from dataclasses import dataclass

from undermesh.model.health import Health, Standing, Verdict
from undermesh.traffic import ejection, states


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of one endpoint. `checked`: somebody asks it, though `verdict` may not have
    come yet; `in_use`: it had connections before anybody asked."""

    state: states.State
    checked: bool = False
    in_use: bool = False
    verdict: Verdict | None = None
    out: ejection.Out | None = None
    spared: str = ""


def settled(known: Known, *, before: Health | None, now_ns: int) -> Health:
    """The state it is in. Its time is when it came to be in it; another reason changes no time."""
    usable, standing, reason = _settled(known)
    stays = before is not None and before.standing == standing
    since_ns = before.since_ns if before is not None and stays else now_ns
    return Health(usable=usable, standing=standing, reason=reason, since_ns=since_ns)


def _settled(known: Known) -> tuple[bool, Standing, str]:
    """The manifest before checks, checks before counters: who is down is not also ejected."""
    state, verdict, out = known.state, known.verdict, known.out
    if isinstance(state, states.Draining):
        return False, Standing.DRAINING, str(state)
    if not isinstance(state, states.Ready):
        return False, Standing.NOT_READY, str(state)
    if verdict is not None and not verdict.healthy:
        return False, Standing.UNHEALTHY, verdict.reason
    if known.checked and verdict is None and not known.in_use:
        return False, Standing.WAITING, "not checked yet"
    if out is not None:
        return False, Standing.EJECTED, out.reason
    if verdict is not None:
        return True, Standing.HEALTHY, known.spared or verdict.reason
    if known.checked:
        return True, Standing.WAITING, "in use since before its checks, the first is not back yet"
    return True, Standing.UNCHECKED, known.spared or "nobody checks it"
