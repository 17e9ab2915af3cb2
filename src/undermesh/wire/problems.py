# SPDX-License-Identifier: Apache-2.0
"""application/problem+json (RFC 9457)."""

from msgspec import Struct
from msgspec import field as msgspec_field

MEDIA_TYPE = "application/problem+json"


class Diagnostic(Struct, kw_only=True, omit_defaults=True):
    """What is wrong with one field of a request. Of a manifest: in which file, line and column, and
    whether it is an "error" or a "warning"."""

    key: str = msgspec_field(default="", name="field")
    message: str
    allowed: list[str] = msgspec_field(default_factory=list)
    file: str = ""
    line: int = 0
    column: int = 0
    severity: str = ""


class Problem(Struct, kw_only=True):
    """Why the answer is no, and what to do about it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    diagnostics: list[Diagnostic] = msgspec_field(default_factory=list)
