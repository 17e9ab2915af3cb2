# SPDX-License-Identifier: Apache-2.0
"""Fakes of the edges, for tests. Never imported by the rest of the package."""
