# SPDX-License-Identifier: Apache-2.0
"""The iterator programs: reading live connections, naming the owners of older sockets."""

from collections.abc import Mapping

import numpy as np

from undermesh.kernel import errors, iterators, libbpf, roles
from undermesh.kernel.links import Link
from undermesh.kernel.pins import Pins
from undermesh.kernel.programs import Program
from undermesh.kernel.tables import Tables


def sweep(name: str, *, links: Mapping[str, Link], tables: Tables) -> np.ndarray:
    """Runs one sweep: counters of what lives reach its edges; its `um_flow` records come back.

    Empty when the kernel refused the program. Raises CallRefused.
    """
    record = tables.dtype("um_flow")
    link = links.get(name)
    if link is None:
        return np.empty(0, record)
    return iterators.records(link_fd=link.fd, name=name, record=record)


def backfill(program: Program | None, tables: Tables) -> None:
    """Names the owners of every socket there is, in three passes over every open file.

    Nothing happens when the kernel refused the program. Raises CallRefused.
    """
    if program is None:
        return
    link_fd = iterators.attach(program_fd=program.fd, name=program.name)
    try:
        for phase in roles.BACKFILL_PHASES:
            tables.insert(roles.PHASE_MAP, 0, phase)
            iterators.run(link_fd=link_fd, name=program.name)
    finally:
        libbpf.close(link_fd)


def remark(program: Program | None) -> bool:
    """Brings the TCP sockets of the caller's network namespace to what the priorities say.

    False when the kernel refused the program: open sockets then stay as they are. Raises
    CallRefused.
    """
    if program is None:
        return False
    link_fd = iterators.attach(program_fd=program.fd, name=program.name)
    try:
        iterators.run(link_fd=link_fd, name=program.name)
    finally:
        libbpf.close(link_fd)
    return True


def flush_pinned(pinned: Pins) -> None:
    """Runs the sweeps an earlier agent left pinned: its sockets' counters reach its edges."""
    for name in roles.SWEEPS:
        link = pinned.link(name)
        if link is None:
            continue
        try:
            iterators.run(link_fd=link.fd, name=name)
        except errors.KernelError:  # its map is gone: nothing to flush
            continue
        finally:
            link.close()
