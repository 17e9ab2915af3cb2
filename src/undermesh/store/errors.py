# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with the store.

StoreError
├── StoreUnusable   the operator: the directory or its disk does not let us write
├── NewerSchema     the operator: a newer undermesh wrote it
└── Compacted       whoever follows: read all again, then go on from there
"""

from pathlib import Path


class StoreError(Exception):
    """Keeping or reading state went wrong."""


class StoreUnusable(StoreError):
    """The file system said no. The original error is the cause."""

    def __init__(self, doing: str, path: Path, error: Exception) -> None:
        answer = getattr(error, "strerror", None) or str(error)
        advice = "check its owner, its mode and the space left, or set agent.state_dir"
        super().__init__(f"{doing} {path}: {answer}; {advice}")
        self.path = path


class NewerSchema(StoreError):
    """The file has a layout this version does not know."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"opening {path}: it was written by a newer undermesh (schema {found}, this one knows "
            f"{known}); run that version, or move the file away to start afresh"
        )
        self.path = path
        self.found = found


class Compacted(StoreError):
    """The log of changes does not reach back to where somebody wants to go on from.

    `oldest` is the revision it reaches back to, `revision` the store's.
    """

    def __init__(self, *, after: int, oldest: int, revision: int) -> None:
        super().__init__(
            f"following changes after revision {after}: the log has those after {oldest} up to "
            f"{revision}; read everything, and follow from the revision it has"
        )
        self.after = after
        self.oldest = oldest
        self.revision = revision
