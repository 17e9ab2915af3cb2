# SPDX-License-Identifier: Apache-2.0
"""Query parameters → what is asked. Everything that is wrong with a query is said at once."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from undermesh.api.problems import Refused
from undermesh.wire.problems import Diagnostic

Value = TypeVar("Value")
Word = TypeVar("Word", bound=StrEnum)

_YES, _NO = ("1", "true", "yes"), ("", "0", "false", "no")


class Query:
    """One request's parameters. Take them all, then call `done`."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._left = dict(parameters)
        self._known: list[str] = []
        self._wrong: list[Diagnostic] = []

    def text(self, name: str) -> str | None:
        """A parameter as it stands; None when absent or empty."""
        self._known.append(name)
        return self._left.pop(name, None) or None

    def flag(self, name: str) -> bool:
        """1, true, yes; or 0, false, no, absent."""
        return bool(self._parsed(name, _flag, [*_YES, *_NO[1:]]))

    def whole(self, name: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`."""

        def parse(value: str) -> int:
            number = int(value)
            if not low <= number <= high:
                raise ValueError(value)
            return number

        return self._parsed(name, parse, [f"{low}..{high}"])

    def seconds(self, name: str, low: float, high: float) -> float | None:
        """A number of seconds from `low` to `high`."""

        def parse(value: str) -> float:
            number = float(value)
            if not low <= number <= high:
                raise ValueError(value)
            return number

        return self._parsed(name, parse, [f"{low:g}..{high:g}"])

    def word(self, name: str, words: type[Word]) -> Word | None:
        """One of an enumeration's words."""
        return self._parsed(name, words, [str(word.value) for word in words])

    def done(self) -> None:
        """Raises Refused (400) for what is wrong, and for parameters nobody took."""
        for name in self._left:
            self._wrong.append(
                Diagnostic(key=name, message="no such parameter", allowed=sorted(self._known))
            )
        if self._wrong:
            names = ", ".join(diagnostic.key for diagnostic in self._wrong)
            raise Refused(400, "Wrong query", f"cannot use {names}; docs/api.md", self._wrong)

    def _parsed(
        self, name: str, parse: Callable[[str], Value], allowed: Iterable[str]
    ) -> Value | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError:
            message = f"{value[:80]!r} is not one of the allowed values"
            self._wrong.append(Diagnostic(key=name, message=message, allowed=list(allowed)))
            return None


def _flag(value: str) -> bool:
    if value.lower() in _YES:
        return True
    if value.lower() in _NO:
        return False
    raise ValueError(value)
