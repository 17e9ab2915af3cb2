# SPDX-License-Identifier: Apache-2.0
"""hatchling hook: a wheel is built with freshly compiled eBPF objects inside.

The objects are CO-RE and read no CPU registers, so one build serves every little-endian 64-bit
machine (x86_64, aarch64) and every kernel with BTF: the wheel is `py3-none-any` and whoever
installs it needs no clang.

An editable install compiles nothing: uv caches it, so the hook would not see a changed C file.
`./run` (or `python3 tools/bpf_objects.py`) does.
"""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BpfObjectsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles `bpf/programs/*.bpf.c` before a wheel is put together."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Runs before each build; `version` is "standard" or "editable"."""
        if version == "editable":
            return
        source = Path(self.root) / "tools" / "bpf_objects.py"
        spec = importlib.util.spec_from_file_location("bpf_objects", source)
        assert spec is not None
        assert spec.loader is not None
        bpf_objects = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(bpf_objects)
        bpf_objects.build_programs(root=Path(self.root))
