# SPDX-License-Identifier: Apache-2.0
"""The shop's life: an agent of its own, every part a workload, and all of it gone afterwards.

Nothing of another agent is touched: the instance has a name of its own, sees only a cgroup of its
own, and keeps its state and its log in a temporary directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from undermesh import config
from undermesh.client import Client, connect
from undermesh.demo import accounts, ports, servers

ENTRY = ("load", "nginx")
"""Client and server of the entry edge: what the generator sends arrives there."""
_CALLS: Mapping[str, tuple[str, ...]] = {
    "catalog": ("redis",),
    "payment": (),
    "cart": ("redis", "catalog"),
    "checkout": ("cart", "payment"),
    "recommend": ("catalog",),
}
_START_SECONDS = 30.0
_END_SECONDS = 15.0
_POLL_SECONDS = 0.05


class ShopBroken(Exception):
    """A part of the shop, or its agent, did not start or ended early; `said` is its last words."""

    def __init__(self, part: str, what: str, said: str = "") -> None:
        super().__init__(f"the demo's {part} {what}")
        self.said = said


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What the load generator itself saw."""

    sent: int
    answered: int
    failed: int
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None


@dataclass(slots=True, kw_only=True)
class Shop:
    """A running shop. `instance` is how `undermesh --instance` reaches its agent."""

    instance: str
    caller: str | None
    directory: Path
    scope: Path
    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def connect(self) -> Client:
        """A client of the shop's own agent."""
        return connect(instance=self.instance)

    def check(self) -> None:
        """Raises `ShopBroken` when a part has ended."""
        for name, process in self.parts.items():
            if process.poll() is not None:
                raise ShopBroken(name, f"ended with {process.returncode}", self._said(name))

    def finish_load(self) -> LoadReport:
        """Stops sending, waits for all answers, and returns what was sent and answered."""
        process = self.parts.pop("load")
        process.terminate()
        try:
            said, _ = process.communicate(timeout=_END_SECONDS)
            report = json.loads(said)
        except (subprocess.TimeoutExpired, ValueError) as error:
            process.kill()
            raise ShopBroken("load generator", "gave no report", self._said("load")) from error
        return LoadReport(**{name: report[name] for name in LoadReport.__slots__})

    def _said(self, name: str) -> str:
        with contextlib.suppress(OSError):
            return (self.directory / f"{name}.log").read_text(errors="replace")[-2000:]
        return ""


@contextlib.contextmanager
def open_shop(*, rate: float, cgroup_root: Path, caller: str | None) -> Iterator[Shop]:
    """Starts everything; yields once all of it answers and the load is on. Whatever happens, what
    was started is ended and what was made is removed. `caller` is the uid of whoever became root
    to run this, if anybody did.

    Raises `servers.Missing`, `ShopBroken`.
    """
    programs = servers.find()
    instance = f"demo-{os.getpid()}"
    directory = Path(tempfile.mkdtemp(prefix="undermesh-demo-"))
    shop = Shop(
        instance=instance,
        caller=caller,
        directory=directory,
        scope=cgroup_root / f"undermesh-{instance}",
    )
    try:
        shop.scope.mkdir()
        _start_agent(shop)
        _start_parts(shop, programs, rate)
        yield shop
    finally:
        with _undisturbed():
            _close(shop)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """No signal cuts the clean-up short; a terminal that hangs up sends more than one."""
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ending}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _undermesh(shop: Shop, *arguments: str) -> list[str]:
    """`undermesh` for our instance, without a word the environment says about another one."""
    forget = [f"--unset={name}" for setting in config.describe() for name in setting.env]
    say = [
        f"UNDERMESH_CONFIG={os.devnull}",
        f"UNDERMESH_STATE_DIR={shop.directory / 'state'}",
        f"UNDERMESH_AGENT_LOG_DIR={shop.directory}",
        f"UNDERMESH_INSTANCE={shop.instance}",
        f"UNDERMESH_SCOPE={shop.scope}",
    ]
    return ["env", *forget, *say, sys.executable, "-m", "undermesh", *arguments]


def _start_agent(shop: Shop) -> None:
    starting = subprocess.Popen(
        _undermesh(shop, "up", "--detach"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, complaint = starting.communicate()
    except BaseException:
        # Told to end while it waits, `up` ends its agent, which may have no lock to find it by yet.
        starting.send_signal(signal.SIGINT)
        starting.communicate()
        raise
    if starting.returncode != 0:
        # Its last words without the sentence that names its log: that is about to be removed.
        said = [line for line in complaint.splitlines() if line.startswith("  ")]
        raise ShopBroken(
            "agent",
            "did not start; `undermesh doctor` says what this host lacks",
            "\n".join(said) or complaint.strip(),
        )


def _start_parts(shop: Shop, programs: Mapping[str, str], rate: float) -> None:
    """Servers first, all at once; the load when every one of them listens."""
    numbers = ports.free((*_CALLS, "redis", "nginx"))
    server_account, python_account = accounts.choose(shop.caller)
    shop.directory.chmod(0o755)
    theirs = shop.directory / "servers"
    theirs.mkdir()
    if server_account is not None:
        shutil.chown(theirs, server_account)
    commands: dict[str, tuple[Sequence[str], str | None]] = {
        "redis": (
            servers.redis_command(programs["redis-server"], theirs, numbers["redis"]),
            server_account,
        ),
        "nginx": (
            servers.nginx_command(programs["nginx"], theirs, numbers["nginx"], numbers),
            server_account,
        ),
    }
    for name, peers in _CALLS.items():
        arguments = [str(numbers[name]), *(f"{peer}={numbers[peer]}" for peer in peers)]
        module = [sys.executable, "-m", "undermesh.demo.services", name, *arguments]
        commands[name] = (module, python_account)
    for name, (command, account) in commands.items():
        _start(shop, name, command, account)
    _wait_for_listeners(shop, frozenset(numbers.values()))
    load = [sys.executable, "-m", "undermesh.demo.load", str(numbers["nginx"]), str(rate)]
    _start(shop, "load", load, python_account)


def _start(shop: Shop, name: str, command: Sequence[str], account: str | None) -> None:
    """One part through `undermesh run`, away from our terminal's Ctrl-C: we end it ourselves."""
    user = () if account is None else ("--user", account)
    log = (shop.directory / f"{name}.log").open("wb")
    with log:
        shop.parts[name] = subprocess.Popen(
            _undermesh(shop, "run", "--name", name, "-l", "app=shop", *user, "--", *command),
            cwd=shop.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if name == "load" else log,
            stderr=log,
            start_new_session=True,
        )


def _wait_for_listeners(shop: Shop, wanted: frozenset[int]) -> None:
    """Until every port is listened on, read from the kernel's own list: connecting to find out
    would be traffic in the picture."""
    until = time.monotonic() + _START_SECONDS
    while not wanted <= ports.listening():
        shop.check()
        if time.monotonic() > until:
            raise ShopBroken("servers", f"do not listen after {_START_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)


def _close(shop: Shop) -> None:
    """Ends the parts, then the agent, then removes what is left; every step whatever the last."""
    for process in shop.parts.values():
        process.terminate()
    until = time.monotonic() + _END_SECONDS
    for process in shop.parts.values():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, until - time.monotonic()))
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            _undermesh(shop, "down"),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
    for process in shop.parts.values():
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
    _remove_scope(shop.scope)
    shutil.rmtree(shop.directory, ignore_errors=True)


def _remove_scope(scope: Path) -> None:
    """Kills what still runs in the scope and removes it with all below (deepest first)."""
    if not scope.exists():
        return
    with contextlib.suppress(OSError), (scope / "cgroup.kill").open("r+") as kill:
        kill.write("1")
    until = time.monotonic() + 5
    while "populated 1" in _read(scope / "cgroup.events") and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
    for directory in sorted(scope.rglob("*/"), reverse=True):
        with contextlib.suppress(OSError):
            directory.rmdir()
    with contextlib.suppress(OSError):
        scope.rmdir()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
