# SPDX-License-Identifier: Apache-2.0
"""Answers that say no, and what to do."""

from collections.abc import Sequence

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from undermesh.wire.problems import MEDIA_TYPE, Diagnostic, Problem


class Refused(HTTPException):
    """A request that cannot be answered. `detail` says what to do about it."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        diagnostics: Sequence[Diagnostic] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.title = title
        self.diagnostics = diagnostics


def answer(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """A problem as a response."""
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


async def on_refusal(request: Request, error: Exception) -> Response:
    """Ours, and what Starlette raises for unknown paths and methods."""
    assert isinstance(error, HTTPException)
    if isinstance(error, Refused):
        problem = Problem(
            title=error.title,
            status=error.status_code,
            detail=error.detail,
            diagnostics=list(error.diagnostics),
        )
        return answer(problem, dict(error.headers or {}))
    what = f"{request.method} {request.url.path}"
    detail = f"there is no {what}; docs/api.md lists what there is"
    return answer(
        Problem(title=error.detail, status=error.status_code, detail=detail),
        dict(error.headers or {}),
    )


async def on_fault(request: Request, error: Exception) -> Response:
    """A bug of ours: the agent's log has the rest."""
    detail = f"answering {request.method} {request.url.path} met {type(error).__name__}"
    detail += ": see the agent's log, and report it"
    return answer(Problem(title="The agent failed", status=500, detail=detail))
