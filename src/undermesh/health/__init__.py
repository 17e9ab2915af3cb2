# SPDX-License-Identifier: Apache-2.0
"""Asks endpoints how they are: TCP, HTTP/1.1 and the gRPC health protocol."""

from undermesh.health.connecting import ConnectIn
from undermesh.health.prober import Prober, ProberStatus

__all__ = ["ConnectIn", "Prober", "ProberStatus"]
