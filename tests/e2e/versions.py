# SPDX-License-Identifier: Apache-2.0
"""A later version of undermesh, made from this tree: its counters have grown."""

import re
import shutil
import sys
from pathlib import Path

from tests.e2e.agents import ROOT
from tools import bpf_objects

VERSION = "99.0.0"


def later_version(into: Path) -> Path:
    """Copies the tree, appends a counter to two structs, compiles; answers where `src` lies."""
    for name in ("src", "bpf"):
        skipped = shutil.ignore_patterns("__pycache__", "*.bpf.o", ".built")
        shutil.copytree(ROOT / name, into / name, ignore=skipped)
    init = into / "src" / "undermesh" / "__init__.py"
    _change(init, r'__version__ = "[^"]*"', f'__version__ = "{VERSION}"')
    abi = into / "bpf" / "abi"
    _change(abi / "edge.h", r"(struct um_edge \{.*?)(\n\};)", r"\1\n\t__u64 later;\2")
    _change(abi / "series.h", r"(struct um_series \{.*?)(\n\};)", r"\1\n\t__u64 later;\2")
    assert bpf_objects.build_programs(root=into)
    return into / "src"


def command(src: Path) -> tuple[str, ...]:
    """The command of the version that lies at `src`."""
    return "/usr/bin/env", f"PYTHONPATH={src}", sys.executable, "-m", "undermesh"


def _change(path: Path, pattern: str, new: str) -> None:
    text, count = re.subn(pattern, new, path.read_text(), count=1, flags=re.S)
    assert count == 1, f"{path} has no {pattern}"
    path.write_text(text)
