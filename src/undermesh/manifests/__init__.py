# SPDX-License-Identifier: Apache-2.0
"""Text → model: manifests of every dialect, with file, line and field of what is wrong."""

from undermesh.manifests.checking import check
from undermesh.manifests.gathered import Gathered, gather
from undermesh.manifests.reading import read
from undermesh.manifests.source import Read, Source

__all__ = ["Gathered", "Read", "Source", "check", "gather", "read"]
