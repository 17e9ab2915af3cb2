# SPDX-License-Identifier: Apache-2.0
"""Exit codes, and the one exception a command raises to end with one."""

from __future__ import annotations

DONE = 0
ANSWER_IS_NO = 1
WRONG_USE = 2
UNREACHABLE = 3
INTERRUPTED = 130
PIPE_CLOSED = 141
NOT_EXECUTABLE = 126
NOT_FOUND = 127


class Refusal(Exception):
    """The command ends here: `message` is one sentence, `hint` what to do (may be empty)."""

    def __init__(self, message: str, *, hint: str = "", code: int = ANSWER_IS_NO) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class PipeClosed(Exception):
    """Whoever read our output has read enough (`| head`); nothing is wrong."""
