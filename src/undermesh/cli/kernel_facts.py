# SPDX-License-Identifier: Apache-2.0
"""What only the kernel room can find out for `doctor`: features, and who else uses eBPF."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from undermesh.host.doctor import Feature, ForeignProgram
from undermesh.kernel import errors, inventory, probes
from undermesh.kernel.kinds import AttachType, ProgramType
from undermesh.kernel.probes import Answer

# Hook → what is not seen without it.
_TRACEPOINTS: Mapping[str, str] = {
    "kfree_skb": "dropped packets and their reasons are not seen",
    "tcp_retransmit_skb": "retransmits are not counted",
    "tcp_send_reset": "resets sent are not counted",
    "tcp_receive_reset": "resets received are not counted",
    "inet_sock_set_state": "refused and timed-out connection attempts are not told apart",
    "sched_process_exec": "a process that executes another program keeps its old name",
    "sched_process_fork": "processes are named later",
    "sched_process_exit": "ends of processes are noticed later",
    "cgroup_mkdir": "new cgroups are noticed later",
    "cgroup_rmdir": "removed cgroups are noticed later",
}
_NOTHING_SEEN = "there is nothing to see without it"


def features() -> tuple[Feature, ...]:
    """What the kernel answered when it was asked for what the programs need."""
    try:
        return (*_needed(), *_tracepoints(), *_helpful())
    except errors.LibraryMissing as error:
        answer = str(error)
        return (
            Feature(
                name="libbpf",
                ok="no",
                detail=answer,
                cost_if_missing="no program loads",
                needed=True,
            ),
        )


def _needed() -> tuple[Feature, ...]:
    found = {
        "cgroup_skb": probes.program_type(ProgramType.CGROUP_SKB),
        "sockops": probes.program_type(ProgramType.SOCK_OPS),
        "cgroup/sock_create": probes.hook(
            ProgramType.CGROUP_SOCK, AttachType.CGROUP_INET_SOCK_CREATE
        ),
        "socket storage": probes.socket_storage_clone(),
        "ring buffer": probes.ring_buffer(),
        "batched map reads": probes.batch_operations(),
        "link update": probes.link_update(),
    }
    return tuple(
        _feature(name, answer, cost=_NOTHING_SEEN, needed=True) for name, answer in found.items()
    )


def _tracepoints() -> tuple[Feature, ...]:
    """One line when all are there, one each for those that are not."""
    found = probes.tracepoints(_TRACEPOINTS)
    absent = {name: answer for name, answer in found.items() if answer is not Answer.YES}
    if not absent:
        return (Feature(name="tracepoints", ok="yes", detail=f"all {len(found)} are there"),)
    return tuple(
        _feature(f"tp_btf/{name}", answer, cost=_TRACEPOINTS[name])
        for name, answer in absent.items()
    )


def _helpful() -> tuple[Feature, ...]:
    cost = "drops are counted without their reason"
    return (_feature("drop reasons", probes.drop_reasons(), cost=cost),)


def _feature(name: str, answer: Answer, *, cost: str, needed: bool = False) -> Feature:
    """Without root the kernel refuses to try, which reads like a no and is none."""
    if answer is not Answer.YES and os.geteuid() != 0:
        return Feature(name=name, ok="unknown", detail="could not tell: run as root", needed=needed)
    return Feature(name=name, ok=_word(answer), cost_if_missing=cost, needed=needed)


def foreign_programs() -> tuple[ForeignProgram, ...]:
    """Every program in the kernel with whoever holds it; none where that may not be asked."""
    try:
        holders, hooks = inventory.holders(), _hooks()
        return tuple(
            ForeignProgram(
                name=program.name,
                type=program.type,
                attach=hooks.get(program.id, ""),
                owner=_command(holders.get(program.id, ())),
            )
            for program in inventory.every_program()
        )
    except errors.KernelError:
        return ()


def _hooks() -> dict[int, str]:
    """Program → the kind of link that attaches it, and for the root cgroup the hook itself."""
    found = {link.program_id: link.type for link in inventory.every_link()}
    with contextlib.suppress(Exception):
        from undermesh import host

        for use in inventory.on_cgroup(host.find_cgroup2()):
            found.update(dict.fromkeys(use.program_ids, use.hook))
    return found


def _command(pids: tuple[int, ...]) -> str:
    for pid in pids:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    return ""


def _word(answer: Answer) -> Literal["yes", "no", "unknown"]:
    match answer:
        case Answer.YES:
            return "yes"
        case Answer.NO:
            return "no"
        case _:
            return "unknown"
