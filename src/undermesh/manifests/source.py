# SPDX-License-Identifier: Apache-2.0
"""What reading manifests takes and gives."""

from dataclasses import dataclass

from undermesh.model.objects import Diagnostic, Object


@dataclass(frozen=True, slots=True)
class Source:
    """One text of manifests and the name its diagnostics call it by (a path, "-" for stdin).

    `namespace` is for documents that name none. `origin`, where it is given, is where the one
    document of `text` was said before it was stored.
    """

    name: str
    text: str
    namespace: str = "default"
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What was understood of all sources, and everything that was not."""

    objects: tuple[Object, ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that are not mere warnings."""
        return tuple(found for found in self.diagnostics if found.severity == "error")
