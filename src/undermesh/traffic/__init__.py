# SPDX-License-Identifier: Apache-2.0
"""Where traffic for a service goes: addresses, endpoints and their states, shares. Pure."""
