# SPDX-License-Identifier: Apache-2.0
"""The door every request passes: who is asking is checked, the version header put on."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from undermesh.api import problems
from undermesh.api.access import Access, Caller, Right
from undermesh.wire import SCHEMA
from undermesh.wire.problems import Problem

CALLER = "undermesh.caller"
"""Key of the scope that holds the Caller on the unix socket; absent on TCP."""

_READING = ("GET", "HEAD")


class Door:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, access: Access, version: str) -> None:
        self._app = app
        self._access = access
        self._headers = [
            (b"undermesh-version", version.encode()),
            (b"undermesh-schema", str(SCHEMA).encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request in, or answers it with what is missing."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
            return
        challenge = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
        response = problems.answer(refusal, challenge)
        await response(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Problem | None:
        caller: Caller | None = scope.get(CALLER)
        if caller is None:
            return self._tcp_refusal(scope)
        right = self._access.of_caller(caller)
        if right is Right.ALL or (right is Right.READ and scope["method"] in _READING):
            return None
        group = self._access.group
        if right is Right.READ:
            detail = f"members of group {group} may only read; do it as root (sudo)"
        else:
            detail = (
                f"user {caller.uid} may not ask this agent; do it as root (sudo), or have root "
                f"run `groupadd -f {group} && usermod -aG {group} USER` and log in again"
            )
        return Problem(title="Not allowed", status=403, detail=detail)

    def _tcp_refusal(self, scope: Scope) -> Problem | None:
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if self._access.of_header(header) is Right.ALL:
            return None
        return Problem(
            title="Not allowed",
            status=401,
            detail="over TCP every request needs `Authorization: Bearer TOKEN`, the token of the "
            "file named by api.token_file",
        )
