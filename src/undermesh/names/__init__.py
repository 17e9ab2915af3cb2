# SPDX-License-Identifier: Apache-2.0
"""The DNS responder: service names in every network namespace; all else is passed on unharmed."""

from undermesh.names.counts import Counts
from undermesh.names.responder import Capture, Place, Responder
from undermesh.names.zone import Zone

__all__ = ["Capture", "Counts", "Place", "Responder", "Zone"]
