# SPDX-License-Identifier: Apache-2.0
"""The responder in a thread of its own: who asks for a name waits for nothing else here."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterable

from undermesh.agent.places import Places
from undermesh.compile.desired import NameEntry
from undermesh.model import names as model
from undermesh.model.service import Endpoint
from undermesh.names.responder import Capture, Responder

log = logging.getLogger("undermesh.agent")

_LEAVE_SECONDS = 5.0


class Answering:
    """Names of services, answered in every network namespace while there is a service."""

    def __init__(self, *, capture: Capture, places: Places) -> None:
        self._responder = Responder(capture=capture)
        self._places = places
        self._any = False
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="names", daemon=True)

    @property
    def responder(self) -> Responder:
        """For what it counted."""
        return self._responder

    def set_names(self, entries: Iterable[NameEntry]) -> None:
        """What is answered from now on."""
        found = [_entry(one) for one in entries]
        self._any = bool(found)
        self._responder.set_names(found)
        self.follow()

    def follow(self) -> None:
        """Stations where there are namespaces; none while nobody has a service to ask for."""
        self._responder.set_namespaces(self._places.all() if self._any else ())

    def start(self) -> None:
        """From now on."""
        self._thread.start()

    def stop(self) -> None:
        """Queries go where they were sent again; waits for those under way."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
        self._thread.join(_LEAVE_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._responder.run(), name="responder")
        with contextlib.suppress(asyncio.CancelledError):
            try:
                self._loop.run_until_complete(self._task)
            except Exception as error:
                log.error("answering for names: queries go where they were sent", exc_info=error)
        self._loop.close()


def _entry(one: NameEntry) -> model.NameEntry:
    """As the responder knows a service: an endpoint's ports by name."""
    return model.NameEntry(
        service=one.service,
        addresses=one.addresses,
        ports=one.ports,
        endpoints=tuple(
            Endpoint(
                address=address,
                ports={
                    port.name: number
                    for port, number in zip(one.ports, numbers, strict=True)
                    if number
                },
            )
            for address, numbers in one.endpoints
        ),
        external=one.external or "",
    )
