# SPDX-License-Identifier: Apache-2.0
"""What happened: the kernel's counters and records become named rows. Pure, sans I/O.

Arrays come in as the kernel laid them out (structured, dtype from BTF); a Python loop runs per row
shown or per entry that is new, never per entry per second.
"""
