# SPDX-License-Identifier: Apache-2.0
"""`down`: the host as it was before undermesh came."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from undermesh import config, host, store
from undermesh.agent.adapters import Notes
from undermesh.agent.lock import PidLock, holder, is_held, wait_released
from undermesh.kernel import plane

STOP_SECONDS = 15.0
KILL_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was taken away. `stopped_pid` is None where no agent ran."""

    stopped_pid: int | None
    pins: tuple[str, ...]
    cgroups: tuple[str, ...]
    state: tuple[str, ...]


def down(settings: config.Config) -> Removed:
    """See `agent.down`.

    Order: the agent, so that nothing is written meanwhile; programs and maps; cgroups (processes in
    them are moved up and go on); the totals last, which without maps would be of another count.
    """
    agent = settings.agent
    stopped = _stop(agent.pid_file)
    with PidLock(agent.pid_file, agent.instance):
        removed = plane.remove(bpffs=settings.kernel.bpffs, instance=agent.instance)
        cgroups = _remove_cgroups(settings)
        state = _reset(settings)
        settings.socket.unlink(missing_ok=True)
        agent.pid_file.unlink(missing_ok=True)
    return Removed(
        stopped_pid=stopped,
        pins=(*removed.links, *removed.maps),
        cgroups=cgroups,
        state=state,
    )


def _stop(pid_file: Path) -> int | None:
    """Ends the agent that holds the lock: asked first, killed when it does not listen, which loses
    nothing: the data path and the ledger are made for it."""
    if not is_held(pid_file):
        return None
    pid = holder(pid_file)
    with _process(pid) as process:
        for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, number)
            if wait_released(pid_file, seconds=seconds):
                break
        if process is not None:
            # It lets go of the lock a moment before it has ended.
            select.select([process], [], [], KILL_SECONDS)
    return pid


@contextlib.contextmanager
def _process(pid: int) -> Iterator[int | None]:
    """A descriptor of the process, which no later one of that number is mistaken for; None when
    there is none."""
    try:
        process = os.pidfd_open(pid) if pid else None
    except ProcessLookupError:
        process = None
    try:
        yield process
    finally:
        if process is not None:
            os.close(process)


def _remove_cgroups(settings: config.Config) -> tuple[str, ...]:
    base = settings.kernel.scope or settings.kernel.cgroup_root
    try:
        base = base or host.find_cgroup2()
    except host.NoCgroup2:
        return ()
    cleared = host.RunCgroups(base=base, instance=settings.agent.instance).remove_all()
    return tuple(str(path) for path in cleared.removed)


def _reset(settings: config.Config) -> tuple[str, ...]:
    """Forgets totals and what goes with the kernel's numbers; identities stay."""
    directory = settings.agent.state
    if not directory.exists():
        return ()
    with store.Database.open(directory) as database:
        store.Ledger(database).reset()
        notes = Notes(store.KeyStore(database))
        for prefix in ("names", "runs"):
            for key, _ in notes.range(f"/nodes/{settings.agent.node}/{prefix}/"):
                notes.delete(key)
    return ()
