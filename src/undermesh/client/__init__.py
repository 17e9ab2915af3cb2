# SPDX-License-Identifier: Apache-2.0
"""Talking to an agent: one connection, typed answers, errors that say what to do."""

from undermesh.client.agent import Client, Filter, Missed, connect
from undermesh.client.errors import (
    AgentUnreachable,
    AnswerUnreadable,
    ClientError,
    RequestRefused,
)

__all__ = [
    "AgentUnreachable",
    "AnswerUnreadable",
    "Client",
    "ClientError",
    "Filter",
    "Missed",
    "RequestRefused",
    "connect",
]
