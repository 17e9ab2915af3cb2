# SPDX-License-Identifier: Apache-2.0
"""How many instructions the verifier walks for each program, against bpf/budget.json.

Loads every object with the configuration the agent gives by default, attaches nothing, and reads
`verified_insns` of each program. More than 10 % above the budget fails: a program near the limit of
one million is one change away from not loading on somebody's kernel. `./run check --update-budget`
records what is now.

The number depends on the kernel's verifier and on the compiler, so the budget names those it was
measured with. With others, loading is all that is asked.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from tools import bpf_objects
from undermesh.kernel import errors, loading
from undermesh.kernel.options import Options

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "bpf" / "budget.json"
ALLOWED = 1.10


class Budget(TypedDict):
    """What it was measured with ("kernel 6.18, clang 14"); program → instructions verified."""

    measured_with: str
    programs: dict[str, int]


def measured_with() -> str:
    """The running kernel's series and the compiler's major version."""
    series = ".".join(os.uname().release.split(".")[:2])
    clang, _ = bpf_objects.toolchain()
    said = subprocess.run([clang, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\d+)", said)
    return f"kernel {series}, clang {version[1] if version else 'unknown'}"


def recorded() -> Budget:
    """The budget there is; an empty one for here when there is none."""
    if not RECORD.exists():
        return Budget(measured_with=measured_with(), programs={})
    budget: Budget = json.loads(RECORD.read_text())
    return budget


def instructions() -> tuple[dict[str, int], dict[str, str]]:
    """Program → instructions the running kernel verified, and program → why it did not load.

    Raises errors.KernelError when a program the agent cannot do without is refused.
    """
    # Where cgroup v2 is mounted matters to attaching only.
    options = Options(cgroup_root=Path("/sys/fs/cgroup"))
    wanted = loading.design(options)
    maps, programs = loading.load(wanted, options=options, kept={}, running={})
    try:
        walked = {name: program.facts().verified_insns for name, program in programs.items()}
    finally:
        for program in programs.values():
            program.close()
        for held in maps.values():
            held.close()
    return walked, wanted.missing


def over(now: dict[str, int], budget: dict[str, int]) -> Iterator[str]:
    """What is above its budget, has none, or is gone."""
    for name, count in now.items():
        if name not in budget:
            yield f"{name}: {count} instructions, no budget yet: ./run check --update-budget"
        elif count > budget[name] * ALLOWED:
            yield (
                f"{name}: {count} instructions, budget {budget[name]} "
                f"(+{100 * count / budget[name] - 100:.0f} %, 10 % allowed)"
            )
    for name in budget.keys() - now.keys():
        yield f"{name} has a budget and is gone: ./run check --update-budget"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--update", action="store_true", help="record what is now")
    arguments = parser.parse_args()
    try:
        bpf_objects.build_programs(root=ROOT)
        now, missing = instructions()
        here = measured_with()
    except (bpf_objects.BuildError, errors.KernelError) as error:
        print(error)
        return 1
    budget = recorded()
    comparable = budget["measured_with"] == here
    found = [f"{name} does not load: {why}" for name, why in missing.items()]
    if arguments.update:
        record = Budget(measured_with=here, programs=dict(sorted(now.items())))
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
    elif comparable:
        found += over(now, budget["programs"])
    most = max(now, key=lambda name: now[name])
    note = f"note: {len(now)} programs, at most {now[most]} instructions ({most})"
    print(note if comparable else f"{note}; the budget is for {budget['measured_with']}")
    for finding in found:
        print(finding)
    return 1 if found and (comparable or arguments.update) else 0


if __name__ == "__main__":
    sys.exit(main())
