# SPDX-License-Identifier: Apache-2.0
"""The store as desired state wants it."""

from collections.abc import Callable, Sequence

from undermesh import store
from undermesh.app import desired_ports as ports


class DesiredStore:
    """The store's keys, their log of changes, and the exception the use cases know."""

    def __init__(self, keys: store.KeyStore) -> None:
        self._keys = keys

    def get(self, key: str) -> ports.Entry | None:
        return self._keys.get(key)

    def range(self, prefix: str) -> tuple[Sequence[ports.Entry], int]:
        revision = self._keys.revision
        return self._keys.range(prefix), revision

    def commit(self, writes: Sequence[ports.Write]) -> ports.Committed:
        return self._keys.commit(
            [store.Write(key=one.key, value=one.value, expected=one.expected) for one in writes]
        )

    def changes(self, prefix: str, *, after: int) -> tuple[Sequence[ports.Change], int]:
        try:
            return self._keys.changes(prefix, after=after)
        except store.Compacted as error:
            raise ports.Compacted(
                after=error.after, oldest=error.oldest, revision=error.revision
            ) from error

    def follow(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._keys.follow(wake)
