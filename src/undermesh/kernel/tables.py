# SPDX-License-Identifier: Apache-2.0
"""The maps of a data plane by name, with the structs and enums they are made of."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from undermesh.kernel import errors, roles
from undermesh.kernel.btf import Btf, Kind
from undermesh.kernel.maps import Exist, Map


class Tables:
    """Owns the maps. Everything read from it is numpy; nothing refers back into the kernel."""

    def __init__(self, *, maps: Mapping[str, Map], types: Sequence[Btf]) -> None:
        self.maps = maps
        self._types = types

    def dtype(self, struct: str) -> np.dtype:
        """The dtype of a C struct the programs use. Raises NotInObject."""
        return self._having(struct, Kind.STRUCT, Kind.UNION, Kind.TYPEDEF).struct(struct)

    def enum(self, name: str) -> Mapping[str, int]:
        """The values of a C enum the programs use. Raises NotInObject."""
        return self._having(name, Kind.ENUM, Kind.ENUM64).enum(name)

    def map(self, name: str) -> Map:
        """The map of that name. Raises NotInObject."""
        try:
            return self.maps[name]
        except KeyError:
            raise errors.NotInObject(
                f"looking up map {name}", answer="no loaded program has it"
            ) from None

    def dump(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """All (keys, values); values of per-CPU maps are (n, CPUs)."""
        return self.map(name).dump()

    def walk(self, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same in chunks of a few MB."""
        return self.map(name).walk()

    def insert(self, name: str, keys: object, values: object, *, exist: Exist = "any") -> int:
        """Writes entries, returns how many; "new" leaves existing ones alone. Raises MapFull."""
        return self.map(name).insert(keys, values, exist=exist)

    def delete(self, name: str, keys: object) -> int:
        """Removes entries, returns how many there were."""
        return self.map(name).delete(keys)

    def stats(self) -> dict[str, int]:
        """What the data path could not do, by counter, summed over CPUs."""
        values = self.map(roles.STATS_MAP).lookup(0)
        if values is None or values.dtype.names is None:
            return {}
        return {name: int(values[name].sum()) for name in values.dtype.names}

    def seed_numbers(self) -> None:
        """Gives the number allocator its first number, unless it has given out some already."""
        numbers = self.map(roles.NUMBERS_MAP)
        if not _scalar(numbers.lookup(0)):
            numbers.insert(0, self.enum("um_number")["UM_NUMBER_FIRST"])

    def close(self) -> None:
        """Gives every descriptor back."""
        for owned in self.maps.values():
            owned.close()

    def _having(self, name: str, *kinds: Kind) -> Btf:
        for types in self._types:
            if types.find(name, *kinds) is not None:
                return types
        raise errors.NotInObject(
            f"looking up {kinds[0].name.lower()} {name}",
            answer="no loaded object's BTF has it",
            advice="declare a variable of that type so that clang keeps it",
        )


def _scalar(value: np.ndarray | None) -> int:
    return 0 if value is None else int(value)
