# SPDX-License-Identifier: Apache-2.0
"""What may be chosen about a data plane, and how it reports itself."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from undermesh.kernel import bpffs, errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a data plane is set up.

    `cgroup_root` is where cgroup v2 is mounted, `scope` a cgroup below it to which everything is
    limited (None: the whole host). `sizes` overrides max_entries by map name, bytes for rings.
    `shards` is a power of two. `libbpf` and `objects` name another library, and a directory of
    other compiled objects than the package's own.
    """

    cgroup_root: Path
    bpffs: Path = bpffs.DEFAULT
    instance: str = "default"
    scope: Path | None = None
    shards: int = 4
    keep_query: bool = False
    errors_per_s: int = 50
    slow_per_s: int = 50
    plain_per_s: int = 20
    answers_per_s: int = 1000
    processes_per_s: int = 5000
    sizes: Mapping[str, int] = field(default_factory=dict)
    libbpf: Path | None = None
    objects: Path | None = None

    @property
    def target(self) -> Path:
        """The cgroup the programs attach to."""
        return self.cgroup_root if self.scope is None else self.scope

    def constants(self) -> Mapping[str, object]:
        """The fields of `struct um_config`. Raises OperatorError for a scope that is none."""
        scope_id, level = self._scope_place()
        return {
            "scope_cgroup_id": scope_id,
            "scope_level": level,
            # Where each processor has a shard of its own, softirqs need no atomics.
            "exclusive_shards": int(self.shards >= os.sysconf("SC_NPROCESSORS_CONF")),
            "shards": self.shards,
            # By enum um_sample_kind, whose 0 is nothing.
            "samples_per_s": (0, self.errors_per_s, self.slow_per_s, self.plain_per_s),
            "answers_per_s": self.answers_per_s,
            "processes_per_s": self.processes_per_s,
            "keep_query": int(self.keep_query),
        }

    def _scope_place(self) -> tuple[int, int]:
        """(cgroup id, depth below the root); a cgroup's id is its directory's inode number."""
        if self.scope is None:
            return 0, 0
        doing = f"limiting the data plane to cgroup {self.scope}"
        root, scope = os.path.realpath(self.cgroup_root), os.path.realpath(self.scope)
        if scope == root:
            return 0, 0
        if not scope.startswith(root.rstrip("/") + "/"):
            raise errors.OperatorError(
                doing,
                answer=f"it is not below {root}",
                advice="give the directory of a cgroup v2 cgroup",
            )
        try:
            number = os.stat(scope).st_ino
        except OSError as error:
            raise errors.OperatorError(
                doing, answer=error.strerror or "it cannot be read", errno=error.errno or 0
            ) from error
        return number, len(Path(scope).relative_to(root).parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramInfo:
    """A program as `status` shows it.

    `hook` is its section, `why` says why it is not attached and is empty when it is. Runs and
    their ns count only while run statistics are on; `verified_insns` is 0 before 5.16.
    """

    name: str
    hook: str
    attached: bool
    why: str
    verified_insns: int
    run_cnt: int
    run_time_ns: int
    tag: str
