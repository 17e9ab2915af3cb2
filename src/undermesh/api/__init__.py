# SPDX-License-Identifier: Apache-2.0
"""API v1 over HTTP: the unix socket, and loopback TCP where it was asked for (docs/api.md)."""
