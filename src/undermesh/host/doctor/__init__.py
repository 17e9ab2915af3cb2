# SPDX-License-Identifier: Apache-2.0
"""Is this host fit for undermesh, what does each missing piece cost, and who else is there."""

from pathlib import Path

from undermesh.host.doctor import resolving
from undermesh.host.doctor.checks import Check, Feature, examine
from undermesh.host.doctor.facts import HostFacts, gather
from undermesh.host.doctor.neighbours import ForeignProgram

__all__ = ["Check", "Feature", "ForeignProgram", "HostFacts", "examine", "gather", "run"]


def run(
    *,
    features: tuple[Feature, ...] = (),
    programs: tuple[ForeignProgram, ...] = (),
    bpffs: Path = Path("/sys/fs/bpf"),
) -> tuple[Check, ...]:
    """Looks at the host and judges it. What only the kernel room can find out is handed in."""
    checks = examine(gather(bpffs=bpffs), features=features, programs=programs)
    return (*checks, *resolving.bypasses(resolving.gather()))
