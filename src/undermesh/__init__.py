# SPDX-License-Identifier: Apache-2.0
"""undermesh: see every connection and every request on a Linux host, from the kernel up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undermesh.client import connect

__version__ = "0.1.0"
__all__ = ["__version__", "connect"]


def __getattr__(name: str) -> object:
    """`connect` costs its imports only when somebody asks for it."""
    if name == "connect":
        from undermesh.client import connect

        return connect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
