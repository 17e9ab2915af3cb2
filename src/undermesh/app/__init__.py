# SPDX-License-Identifier: Apache-2.0
"""The use cases. What they need from the kernel, the host and the store are the Protocols of
`ports`; the agent hands those over. No I/O of its own, no clock: every call says what time it is.
"""
