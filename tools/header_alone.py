# SPDX-License-Identifier: Apache-2.0
"""Compile each C header given, with nothing before it: a header includes what it uses.

python3 -m tools.header_alone bpf/lib/stats.h ...
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tools import bpf_objects

# What a header defines and only a program uses is no finding here.
LENIENT = ("-Wno-unused-function", "-Wno-unused-variable", "-Wno-unused-const-variable")


def compile_alone(header: Path, *, root: Path, clang: str) -> str:
    """What clang says about `header` as a whole program; empty when it compiles."""
    command = [clang, *bpf_objects.FLAGS, *LENIENT, *bpf_objects.include_flags()]
    command += ["-fsyntax-only", "-x", "c", "-"]
    name = header.resolve().relative_to(root / "bpf")
    includes = f'#include "{name}"\n'
    done = subprocess.run(
        command, cwd=root, input=includes, capture_output=True, text=True, check=False
    )
    return done.stderr.strip() if done.returncode else ""


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    try:
        clang, _ = bpf_objects.toolchain()
    except bpf_objects.BuildError as error:
        print(error)
        return 1
    names = sys.argv[1:]
    alone = partial(compile_alone, root=root, clang=clang)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        answers = list(pool.map(alone, map(Path, names)))
    for name, said in zip(names, answers, strict=True):
        if said:
            print(f"{name} does not compile alone:\n{said}")
    print(f"note: {len(names)} headers")
    return 1 if any(answers) else 0


if __name__ == "__main__":
    sys.exit(main())
