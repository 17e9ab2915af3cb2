# SPDX-License-Identifier: Apache-2.0
"""One frozen dataclass per room; a field's metadata is what sources.py and show.py go by."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from undermesh.config import kinds
from undermesh.config.diagnostics import Diagnostic
from undermesh.config.kinds import Secret
from undermesh.config.settings import says
from undermesh.config.sizes import MapSizes

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """Who this agent is and where it keeps its files."""

    instance: str = field(
        default="default",
        metadata=says(
            "Name of this agent: prefixes its pins, socket and cgroups, so that two can share a "
            "host.",
            kinds.NAME,
            env="UNDERMESH_INSTANCE",
        ),
    )
    node: str = field(
        default="",
        metadata=says(
            "Name of this node, carried by every row; the host's name unless set.",
            kinds.HOST_NAME,
            env="UNDERMESH_NODE",
        ),
    )
    state_dir: Path = field(
        default=Path("/var/lib/undermesh"),
        metadata=says(
            "Directory of what survives a restart, one directory per instance below it.",
            kinds.PATH,
            env="UNDERMESH_STATE_DIR",
        ),
    )
    runtime_dir: Path = field(
        default=Path("/run/undermesh"),
        metadata=says(
            "Directory of the socket and the pid file.", kinds.PATH, env="UNDERMESH_RUNTIME_DIR"
        ),
    )
    log_dir: Path = field(
        default=Path("/var/log/undermesh"),
        metadata=says("Directory of the log of `undermesh up --detach`.", kinds.PATH),
    )

    @property
    def state(self) -> Path:
        """This instance's directory below `state_dir`."""
        return self.state_dir / self.instance

    @property
    def pid_file(self) -> Path:
        """Holds the process id of the running agent."""
        return self.runtime_dir / f"{self.instance}.pid"

    @property
    def detach_log(self) -> Path:
        """Where a detached agent writes its log."""
        return self.log_dir / f"{self.instance}.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What the agent logs, always to stderr."""

    level: Literal["debug", "info", "warning", "error"] = field(
        default="info",
        metadata=says(
            "The least severe messages that are logged.",
            kinds.choice("debug", "info", "warning", "error"),
            env="UNDERMESH_LOG_LEVEL",
        ),
    )
    format: Literal["text", "json"] = field(
        default="text",
        metadata=says("Lines for people, or one JSON object a line.", kinds.choice("text", "json")),
    )


_PER_SECOND = kinds.whole(0, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelConfig:
    """Where the eBPF programs attach, and what they may take."""

    bpffs: Path = field(
        default=Path("/sys/fs/bpf"),
        metadata=says(
            "Where bpffs is mounted; it is mounted there when it is missing.",
            kinds.PATH,
            env="UNDERMESH_BPFFS",
        ),
    )
    cgroup_root: Path | None = field(
        default=None,
        metadata=says(
            "Where cgroup v2 is mounted; found in /proc/self/mountinfo unless set.", kinds.PATH
        ),
    )
    scope: Path | None = field(
        default=None,
        metadata=says(
            "Watch only the processes below this cgroup (a directory); the whole host unless set.",
            kinds.PATH,
            env="UNDERMESH_SCOPE",
        ),
    )
    shards: int = field(
        default=4,
        metadata=says(
            "Copies of each counter, so that processors do not wait for each other.",
            kinds.whole(1, 128, power_of_two=True),
        ),
    )
    keep_query: bool = field(
        default=False,
        metadata=says(
            "Keep what follows '?' in the path of sampled requests; it may hold secrets.",
            kinds.SWITCH,
        ),
    )
    errors_per_s: int = field(
        default=50, metadata=says("Failed requests sampled, per second.", _PER_SECOND)
    )
    slow_per_s: int = field(
        default=50, metadata=says("Slow requests sampled, per second.", _PER_SECOND)
    )
    plain_per_s: int = field(
        default=20, metadata=says("Ordinary requests sampled, per second.", _PER_SECOND)
    )
    answers_per_s: int = field(
        default=1000, metadata=says("DNS answers read, per second.", _PER_SECOND)
    )
    processes_per_s: int = field(
        default=5000, metadata=says("Process starts and ends read, per second.", _PER_SECOND)
    )
    libbpf: Path | None = field(
        default=None,
        metadata=says(
            "The libbpf to load; the system's libbpf.so.1 unless set.",
            kinds.PATH,
            env="UNDERMESH_LIBBPF",
        ),
    )
    sizes: MapSizes = field(default_factory=MapSizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """How the host is read: names of containers and pods."""

    refresh: timedelta = field(
        default=timedelta(milliseconds=500),
        metadata=says(
            "How often names of containers and pods are looked at again.",
            kinds.duration(timedelta(milliseconds=100), timedelta(minutes=1)),
        ),
    )
    docker_root: Path = field(
        default=Path("/var/lib/docker"),
        metadata=says("Docker's data root (`docker info`).", kinds.PATH),
    )
    podman_root: Path = field(
        default=Path("/var/lib/containers/storage"),
        metadata=says("podman's and CRI-O's storage root.", kinds.PATH),
    )
    nerdctl_root: Path = field(
        default=Path("/var/lib/nerdctl"), metadata=says("nerdctl's data root.", kinds.PATH)
    )
    kubernetes_logs: Path = field(
        default=Path("/var/log"),
        metadata=says("Directory of the kubelet's `containers` and `pods` logs.", kinds.PATH),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryConfig:
    """How much of what happened is kept in memory."""

    sweep: timedelta = field(
        default=_SECOND,
        metadata=says(
            "How often counters are read from the kernel.",
            kinds.duration(timedelta(milliseconds=100), timedelta(minutes=1)),
        ),
    )
    window: timedelta = field(
        default=timedelta(minutes=5),
        metadata=says(
            "How far back live views can look.", kinds.duration(timedelta(seconds=10), _DAY)
        ),
    )
    flows_kept: int = field(
        default=50_000,
        metadata=says("Ended connections kept for `flows`.", kinds.whole(100, 10_000_000)),
    )
    samples_kept: int = field(
        default=5_000,
        metadata=says("Sampled requests kept for `tap`.", kinds.whole(100, 10_000_000)),
    )
    gone_kept: int = field(
        default=2_000,
        metadata=says(
            "Workloads that are gone whose totals keep their own name; beyond that the oldest are "
            "added up in one row.",
            kinds.whole(0, 1_000_000),
        ),
    )
    gone_for: timedelta = field(
        default=timedelta(hours=1),
        metadata=says(
            "How long a workload that is gone is listed.",
            kinds.duration(_SECOND, timedelta(days=365)),
        ),
    )
    names_kept: int = field(
        default=20_000,
        metadata=says("DNS names kept for external addresses.", kinds.whole(100, 1_000_000)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """Who may ask the agent, and where."""

    socket: Path | None = field(
        default=None,
        metadata=says(
            "The unix socket; <runtime_dir>/<instance>.sock unless set.",
            kinds.PATH,
            env="UNDERMESH_SOCKET",
        ),
    )
    group: str = field(
        default="undermesh",
        metadata=says(
            "Members of this group may read, if it exists; root may do all.", kinds.GROUP
        ),
    )
    listen: tuple[str, int] | None = field(
        default=None,
        metadata=says(
            "Also answer on this loopback TCP address, to whoever shows the token.", kinds.LOOPBACK
        ),
    )
    token_file: Path | None = field(
        default=None,
        metadata=says("File with the token for `listen`; only its owner may read it.", kinds.PATH),
    )
    token: Secret | None = field(
        default=None, metadata=says("The token itself, instead of a file.", kinds.TOKEN)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole effective configuration, one room a field."""

    agent: AgentConfig = field(default_factory=AgentConfig)
    log: LogConfig = field(default_factory=LogConfig)
    kernel: KernelConfig = field(default_factory=KernelConfig)
    host: HostConfig = field(default_factory=HostConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    api: ApiConfig = field(default_factory=ApiConfig)
    sources: tuple[str, ...] = ()
    """What was read: the file, and the environment variables and flags that were set."""
    warnings: tuple[Diagnostic, ...] = ()
    """What was ignored, to be logged."""

    @property
    def socket(self) -> Path:
        """The unix socket the agent listens on."""
        return self.api.socket or self.agent.runtime_dir / f"{self.agent.instance}.sock"
