# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a configuration, all of it at once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One thing wrong, where it stands and what would be right.

    `source` is the file, the environment variable or the flag; `line` counts from 1 and is None
    where the source has no lines.
    """

    source: str
    line: int | None = None
    key: str
    problem: str
    allowed: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        text = f"{where}: {self.key}: {self.problem}" if self.key else f"{where}: {self.problem}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.suggestion:
            text += f"; did you mean {self.suggestion}?"
        return text


class ConfigError(Exception):
    """The operator's configuration cannot be used; `diagnostics` says every reason."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return "\n".join(str(diagnostic) for diagnostic in self.diagnostics)
