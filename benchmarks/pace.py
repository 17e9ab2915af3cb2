# SPDX-License-Identifier: Apache-2.0
"""How long things are measured, and word of it on stderr."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`quick` shortens everything: it shows that a benchmark works, its figures mean little."""

    quick: bool = False

    def pick(self, full: int, quick: int) -> int:
        """One of the two."""
        return quick if self.quick else full


def say(text: str) -> None:
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)
