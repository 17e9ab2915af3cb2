# SPDX-License-Identifier: Apache-2.0
"""What is wrong within one document, before it is known where in the file that stands."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TypeAlias

from undermesh.model.objects import Severity

Path: TypeAlias = tuple[str | int, ...]
"""From the top of a document to one of its values: keys and indices."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong at `path`. `at_key`: the key itself is wrong, not what it holds."""

    path: Path
    message: str
    allowed: str = ""
    severity: Severity = "error"
    at_key: bool = False

    def below(self, prefix: Path) -> "Fault":
        """The same fault, seen from further up in the document."""
        return replace(self, path=prefix + self.path)


class Refused(Exception):
    """A document that cannot be meant, and every reason for it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{dotted(f.path)}: {f.message}" for f in self.faults))


def refusal(path: Path, message: str, allowed: str = "") -> Refused:
    """A document refused for one reason."""
    return Refused([Fault(path=path, message=message, allowed=allowed)])


def warning(path: Path, message: str, allowed: str = "") -> Fault:
    """A fault that keeps nothing from being applied."""
    return Fault(path=path, message=message, allowed=allowed, severity="warning")


def dotted(path: Path) -> str:
    """A path as people write it: `spec.ports[0].port`, `metadata.labels["a.b/c"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step[:80]}"]'
    return text


def nearest(word: str, known: Iterable[str]) -> str:
    """ ", did you mean X?" for the word of `known` that is meant, empty when none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(word[:64].lower(), by_lower, n=1, cutoff=0.6)
    return f", did you mean {by_lower[close[0]]}?" if close else ""
