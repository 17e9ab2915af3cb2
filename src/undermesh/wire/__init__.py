# SPDX-License-Identifier: Apache-2.0
"""API v1 as it goes over the wire (docs/api.md). Imports neither numpy nor anything that waits.

Fields are only ever added: a reader ignores those it does not know and has defaults for those it
does not get, so an agent and a client one version apart understand each other.
"""

SCHEMA = 1
"""In every answer, and in the header `Undermesh-Schema`."""
