# SPDX-License-Identifier: Apache-2.0
"""What the loader has to know about undermesh's own maps and programs, by name.

Layouts and types it reads from the objects; this says what a map is *for*, which decides what
becomes of its contents when a new version brings another layout.
"""

from collections.abc import Mapping
from enum import Enum

LAYOUT_VERSION = 1
"""UM_LAYOUT_VERSION of bpf/abi/base.h: part of the path of every pin."""


class Role(Enum):
    """What happens to a map's contents when its layout or size changes."""

    COUNTERS = "counters"
    """Handed to the caller, who adds them to its totals."""
    STATE = "state"
    """Copied into the new map, field by field; and handed to the caller."""
    SOCKETS = "sockets"
    """Belongs to sockets and cannot be copied from here: a new one is backfilled."""
    RING = "ring"
    """What is left unread is handed to the caller."""
    SCRATCH = "scratch"
    """Forgotten."""


ROLES: Mapping[str, Role] = {
    "um_series": Role.COUNTERS,
    "um_edges": Role.COUNTERS,
    "um_drops": Role.COUNTERS,
    "um_stats": Role.COUNTERS,
    "um_owners": Role.STATE,
    "um_peers": Role.STATE,
    "um_cgroups": Role.STATE,
    "um_listeners": Role.STATE,
    "um_pairs": Role.STATE,
    "um_udp": Role.STATE,
    "um_numbers": Role.STATE,
    "um_dns_slots": Role.STATE,
    "um_resolvers": Role.STATE,
    "um_dns_used": Role.STATE,
    "um_names_state": Role.STATE,
    "um_services": Role.STATE,
    "um_slots": Role.STATE,
    "um_backends": Role.STATE,
    "um_loads": Role.STATE,
    "um_affinity": Role.STATE,
    "um_meant": Role.STATE,
    "um_priorities": Role.STATE,
    "um_prio_rev": Role.STATE,
    "um_sockets": Role.SOCKETS,
    "um_marked": Role.SOCKETS,
    "um_tls": Role.SOCKETS,
    "um_joined": Role.SOCKETS,
    "um_joints": Role.SOCKETS,
    "um_held": Role.SOCKETS,
    "um_flows": Role.RING,
    "um_samples": Role.RING,
    "um_answers": Role.RING,
    "um_processes": Role.RING,
}

RECORDS: Mapping[str, str] = {
    "um_flows": "um_flow",
    "um_samples": "um_sample",
    "um_answers": "um_answer",
    "um_processes": "um_process_event",
}
"""The struct each ring holds: a ring's own BTF does not say."""

OBJECTS = ("process", "names", "steer", "conn", "sweep", "tap", "drops", "priority", "fastpath")
"""In the order they are loaded; attached in the order of FIRST, backfill, THEN."""

ASIDE = ("cut",)
"""Loaded when they are needed, by who needs them; never pinned."""

FIRST = ("process", "names", "steer", "conn")
THEN = ("tap", "drops", "priority")

REQUIRED = frozenset({"tap_ingress", "tap_egress", "conn_sock_create", "conn_sockops"})
"""Without these there is nothing to see; any other program may be missing, with a reason."""

LEAST_ARGUMENTS: Mapping[str, int] = {"kfree_skb": 3}
"""Tracepoints that older kernels have with fewer arguments than our programs read."""

SWEEPS: Mapping[str, str] = {
    "sweep_sockets": "um_sockets",
    "sweep_udp": "um_udp",
    "fastpath_queues": "um_joined",
}
"""Iterators over a map, kept pinned so that a later version can flush an earlier one's sockets."""

TARGETS: Mapping[str, str] = {"fastpath_send": "um_joined"}
"""Programs that attach to a map: they are called for the sockets in it."""

ON_DEMAND = ("fastpath_send", "fastpath_join")
"""Attached only while some service asks for it: all of them or none, in this order."""

REPORTING = ("fastpath_received",)
"""Attached with them where the kernel has its hook: tells of programs they do not suit."""

WITH_SOCKETS = frozenset({"um_joined", "um_joints", "um_meetings", "um_fastpath"})
"""Maps that are of no use, and would be wrong, once um_sockets is another one."""

REMARK = "priority_remark"
"""Iterator over the TCP sockets of one network namespace: gives them what the rules say."""

BACKFILL = "backfill_files"
BACKFILL_PHASES = (1, 2, 3)
PHASE_MAP = "um_phase"
NUMBERS_MAP = "um_numbers"
STATS_MAP = "um_stats"
SOCKETS_MAP = "um_sockets"
CONFIG = "um_config"


def role(name: str) -> Role:
    """The role of a map; one that is not listed is scratch."""
    return ROLES.get(name, Role.SCRATCH)
