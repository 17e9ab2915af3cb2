# SPDX-License-Identifier: Apache-2.0
"""Names of external addresses, written down: the next agent shows the same rows for the counters
that stayed in the kernel."""

from collections.abc import Iterable

import msgspec

from undermesh.app.ports import Notes
from undermesh.model.workload import NodeId
from undermesh.telemetry.names import Binding, Source

_Note = tuple[str, int]


class Journal:
    """One note per binding: /nodes/<node>/names/<client>.<number>."""

    def __init__(self, *, notes: Notes, node: NodeId) -> None:
        self._notes = notes
        self._prefix = f"/nodes/{node}/names/"

    def read(self) -> list[Binding]:
        """What an agent before wrote; notes that cannot be read are removed."""
        bindings: list[Binding] = []
        for key, value in self._notes.range(self._prefix):
            try:
                client, number = key.removeprefix(self._prefix).split(".")
                name, source = msgspec.msgpack.decode(value, type=_Note)
                bindings.append(
                    Binding(
                        client=int(client), number=int(number), name=name, source=Source(source)
                    )
                )
            except ValueError:
                self._notes.delete(key)
        return bindings

    def write(self, bindings: Iterable[Binding]) -> None:
        """Takes bindings that are new or better."""
        for binding in bindings:
            value = msgspec.msgpack.encode((binding.name, int(binding.source)))
            self._notes.put(self._key(binding.client, binding.number), value)

    def erase(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Forgets bindings that ended."""
        for client, number in pairs:
            self._notes.delete(self._key(client, number))

    def clear(self) -> None:
        """Forgets all: the numbers in them began anew."""
        for key, _ in self._notes.range(self._prefix):
            self._notes.delete(key)

    def _key(self, client: int, number: int) -> str:
        return f"{self._prefix}{client}.{number}"
