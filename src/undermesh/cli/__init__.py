# SPDX-License-Identifier: Apache-2.0
"""The command `undermesh`: thin commands over `client`, imported one at a time."""

from undermesh.cli.program import main

__all__ = ["main"]
