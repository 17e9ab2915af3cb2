# SPDX-License-Identifier: Apache-2.0
"""What the responder did, and what it could not do."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Counts:
    """Grows only; one for all network namespaces."""

    answered: int = 0
    """Queries for names of ours."""
    forwarded: int = 0
    """Messages passed on to the resolver that was asked."""
    returned: int = 0
    """Messages passed back from it."""
    timeouts: int = 0
    """Conversations whose resolver did not answer in time."""
    unreachable: int = 0
    """Resolvers that could not be reached: the asker was told SERVFAIL."""
    strangers: int = 0
    """Datagrams and connections to an address that stands for no resolver; not answered."""
    full: int = 0
    """Queries dropped because too many were under way."""
    unsent: int = 0
    """Answers the kernel did not take."""
