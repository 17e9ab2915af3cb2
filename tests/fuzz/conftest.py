# SPDX-License-Identifier: Apache-2.0
"""The fixtures of tests/kernel."""

from tests.kernel.conftest import _root, judge, parts, wrappers

__all__ = ["_root", "judge", "parts", "wrappers"]
