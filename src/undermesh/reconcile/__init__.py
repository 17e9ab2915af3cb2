# SPDX-License-Identifier: Apache-2.0
"""Desired against actual → the steps between them, in an order that may stop anywhere. Pure."""

from undermesh.reconcile.actual import NO_MEMORY, Actual, Memory, empty
from undermesh.reconcile.plan import Plan, plan

__all__ = ["NO_MEMORY", "Actual", "Memory", "Plan", "empty", "plan"]
