# SPDX-License-Identifier: Apache-2.0
"""An agent of a test's own, driven through the installed command."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import undermesh
import undermesh.client
from tests.e2e.places import Scope
from tests.e2e.waiting import until

ROOT = Path(__file__).parents[2]
COMMAND = (str(Path(sys.executable).parent / "undermesh"),)
"""The installed command, beside the interpreter that runs the tests."""

Row = dict[str, Any]

_LOOPS = ("census", "rings", "sweep")


@dataclass(kw_only=True)
class Agent:
    """One instance: its socket, state and log lie in a directory of its own."""

    instance: str
    directory: Path
    scope: Scope
    command: Sequence[str] = COMMAND
    env: dict[str, str] = field(default_factory=dict)
    runtime: Path = field(init=False)

    def __post_init__(self) -> None:
        self.runtime = self.directory / "run"

    def environment(self) -> dict[str, str]:
        """What a command finds: no setting of whoever runs the tests, this instance's file."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("UNDERMESH_")}
        return clean | {"UNDERMESH_CONFIG": str(self.directory / "undermesh.toml")} | self.env

    def call(
        self, *arguments: str, code: int | None = 0, command: Sequence[str] = (), **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Runs the command; fails when it does not end with `code` (None: with whatever)."""
        options.setdefault("timeout", 90)
        done = subprocess.run(
            [*(command or self.command), *arguments],
            capture_output=True,
            text=True,
            env=self.environment(),
            **options,
        )
        if code is not None and done.returncode != code:
            raise AssertionError(
                f"undermesh {' '.join(arguments)} ended with {done.returncode}, not {code}:\n"
                f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}\n{self.log()[-4000:]}"
            )
        return done

    def json(self, *arguments: str) -> Any:
        """What the command prints with --json."""
        return json.loads(self.call(*arguments, "--json").stdout)

    def up(self, *flags: str, command: Sequence[str] = ()) -> None:
        """Starts the agent in the background."""
        self.call("up", "--detach", *flags, command=command)

    def spawn(self, *flags: str, **options: Any) -> subprocess.Popen[Any]:
        """Starts the agent in the foreground, and does not wait for it."""
        options.setdefault("stderr", subprocess.DEVNULL)
        return subprocess.Popen([*self.command, "up", *flags], env=self.environment(), **options)

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.call("down")

    @property
    def socket(self) -> Path:
        return self.runtime / f"{self.instance}.sock"

    @property
    def pid(self) -> int:
        """Who holds the instance; 0 for nobody."""
        try:
            return int((self.runtime / f"{self.instance}.pid").read_text() or "0")
        except FileNotFoundError:
            return 0

    def kill(self) -> None:
        """kill -9, and waits until it is dead."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: not lives(pid), what=f"agent {pid} to die", every=0.005)

    def status(self) -> Row:
        status: Row = self.json("status")
        return status

    def caught_up(self) -> None:
        """Waits until the agent has looked at everything once more: workloads, rings, counters."""
        with undermesh.connect(socket=self.socket) as client:
            before = _rounds(client)
            until(
                lambda: all(_rounds(client)[name] > before[name] for name in _LOOPS),
                what="the agent to look at everything once more",
            )

    def edges(self, *flags: str) -> list[Row]:
        """Rows of the totals, as they stand now."""
        rows: list[Row] = self.json("top", "--total", *flags)["edges"]
        return rows

    def total(self, *, client: str = "", server: str = "") -> list[Row]:
        """Rows between two places of the scope ("" for any), once the agent caught up."""
        self.caught_up()
        names = {"client": client, "server": server}
        wanted = {end: self.scope.workload(name) for end, name in names.items() if name}
        return [row for row in self.edges() if all(row[end] == n for end, n in wanted.items())]

    def row(self, client: str, server: str, **fields: object) -> Row:
        """The one row between two places with these `fields`; fails when there is not one."""
        rows = self.total(client=client, server=server)
        rows = [row for row in rows if all(row[key] == value for key, value in fields.items())]
        assert len(rows) == 1, f"not one row {client} → {server} {fields}: {brief(self.edges())}"
        return rows[0]

    def flows(self, *flags: str) -> list[Row]:
        rows: list[Row] = self.json("flows", "--last", "10000", *flags)["flows"]
        return rows

    def lost(self) -> dict[str, int]:
        """What the data path could not count, as far as there is any."""
        return {name: count for name, count in self.status()["lost"].items() if count}

    def log(self) -> str:
        """What it said while in the background."""
        path = self.directory / "log" / f"{self.instance}.log"
        return path.read_text() if path.exists() else ""


def brief(rows: Sequence[Row]) -> str:
    """Rows for a failure's message."""
    shown = ("client", "server", "port", "protocol", "requests", "cut", "connections", "failures")
    return "\n" + "\n".join(str({key: row[key] for key in shown}) for row in rows)


@contextlib.contextmanager
def agent(
    *, instance: str, scope: Scope, settings: Mapping[str, Mapping[str, object]] | None = None
) -> Iterator[Agent]:
    """An agent that is not up yet, watching `scope`; taken down and wiped away at the end."""
    directory = Path(tempfile.mkdtemp(prefix=f"{instance}-", dir="/tmp"))
    tables: dict[str, dict[str, object]] = {
        "agent": {
            "instance": instance,
            "node": "here",
            "state_dir": str(directory / "state"),
            "runtime_dir": str(directory / "run"),
            "log_dir": str(directory / "log"),
        },
        "kernel": {"scope": str(scope.path)},
    }
    for table, values in (settings or {}).items():
        tables.setdefault(table, {}).update(values)
    (directory / "undermesh.toml").write_text(_toml(tables))
    made = Agent(instance=instance, directory=directory, scope=scope)
    made.runtime = Path(str(tables["agent"]["runtime_dir"]))
    try:
        yield made
    finally:
        down = made.call("down", code=None, command=COMMAND)
        log = made.log()
        shutil.rmtree(directory)
    assert down.returncode == 0, down.stderr
    assert "Traceback" not in log, log


def _rounds(client: undermesh.client.Client) -> dict[str, int]:
    return {loop.name: loop.rounds for loop in client.status().loops}


def _toml(tables: Mapping[str, Mapping[str, object]]) -> str:
    lines: list[str] = []
    for table, values in tables.items():
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def lives(pid: int) -> bool:
    """Whether the process is there and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
