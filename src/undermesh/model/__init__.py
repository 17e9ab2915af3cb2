# SPDX-License-Identifier: Apache-2.0
"""Frozen vocabulary: what every other room talks about. No I/O, no clock, no numpy."""
