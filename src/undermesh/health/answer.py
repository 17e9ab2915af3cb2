# SPDX-License-Identifier: Apache-2.0
"""What one check came back with."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Passed:
    """The endpoint answered as it should. `reason` says how: "GET / answered 200"."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The endpoint did not. `reason` says what came instead."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotTried:
    """This host could not even ask, which says nothing about the endpoint."""

    reason: str


Answer: TypeAlias = Passed | Failed | NotTried
