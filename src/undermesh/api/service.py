# SPDX-License-Identifier: Apache-2.0
"""What the API stands on: the use cases, the clock, and how to ask the agent to end."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from undermesh.app.objects import Objects
from undermesh.app.observatory import Observatory
from undermesh.app.steering import Steering
from undermesh.app.views import Moment
from undermesh.model.status import Status
from undermesh.wire.times import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Handed over by the agent. `ending` is set when streams are to end; `shut_down` is told
    whether the data plane is to be removed as well."""

    observatory: Observatory
    objects: Objects
    steering: Steering
    now: Callable[[], Moment]
    status: Callable[[], Status]
    config: Callable[[], Mapping[str, Mapping[str, object]]]
    shut_down: Callable[[bool], None]
    window_seconds: float
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    def clock(self) -> Clock:
        """The kernel's clock against the epoch, as they stand now."""
        at = self.now()
        return Clock(offset_ns=at.epoch_ns - at.monotonic_ns)
