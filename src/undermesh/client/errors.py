# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between a client and an agent, split by who must act.

ClientError
├── AgentUnreachable   nobody answered: start the agent, or point at the right one
├── RequestRefused     the agent answered no: the caller asked for something it may not have
└── AnswerUnreadable   what answered does not speak the API: not an agent, or a broken one
"""

from __future__ import annotations


class ClientError(Exception):
    """Root of the tree. `hint` says what to try next, in one sentence without a full stop."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class AgentUnreachable(ClientError):
    """No agent answered at `target`; `reason` is what the operating system said."""

    def __init__(self, *, target: str, reason: str, hint: str) -> None:
        super().__init__(f"no agent answers at {target}: {reason}", hint=hint)
        self.target = target
        self.reason = reason


class RequestRefused(ClientError):
    """The agent understood and said no (problem+json, RFC 9457)."""

    def __init__(
        self,
        *,
        status: int,
        title: str,
        detail: str = "",
        diagnostics: tuple[str, ...] = (),
        payload: bytes = b"",
    ) -> None:
        message = f"the agent answered {status} {title}".rstrip()
        super().__init__(f"{message}: {detail}" if detail else message)
        self.status = status
        self.title = title
        self.detail = detail
        self.diagnostics = diagnostics
        self.payload = payload
        """The answer as it came: a Problem (wire/problems.py), where an agent sent it."""


class AnswerUnreadable(ClientError):
    """The peer answered something that is not JSON of this API."""

    def __init__(self, *, target: str, what: str) -> None:
        super().__init__(
            f"{target} answered, but {what}",
            hint="check that --socket or --address names an undermesh agent",
        )
        self.target = target
        self.what = what
