# SPDX-License-Identifier: Apache-2.0
"""World → Desired: what the kernel is to hold for the services there are, shard by shard. Pure."""

from undermesh.compile.desired import Desired, NameEntry, Refusal, Shard
from undermesh.compile.seeing import seen
from undermesh.compile.services import NotClosed, services, sizes
from undermesh.compile.world import World

__all__ = [
    "Desired",
    "NameEntry",
    "NotClosed",
    "Refusal",
    "Shard",
    "World",
    "seen",
    "services",
    "sizes",
]
