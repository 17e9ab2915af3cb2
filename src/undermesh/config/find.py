# SPDX-License-Identifier: Apache-2.0
"""Where the agent's socket is, for commands that need nothing else of the configuration."""

import os
from collections.abc import Mapping
from pathlib import Path

DEFAULT_FILE = "/etc/undermesh/undermesh.toml"


def find_socket(
    *,
    instance: str | None = None,
    socket: Path | None = None,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Path:
    """The unix socket of an instance, by the same order as `load`: flags, environment, file.

    A file that cannot be read or is wrong elsewhere is no obstacle: the agent reports that.
    """
    environ = os.environ if environ is None else environ
    if socket is not None:
        return socket
    if environ.get("UNDERMESH_SOCKET") and instance is None:
        return Path(environ["UNDERMESH_SOCKET"])
    said = _from_file(file or Path(environ.get("UNDERMESH_CONFIG") or DEFAULT_FILE))
    if "socket" in said and instance is None and not environ.get("UNDERMESH_INSTANCE"):
        return Path(said["socket"])
    name = instance or environ.get("UNDERMESH_INSTANCE") or said.get("instance") or "default"
    directory = environ.get("UNDERMESH_RUNTIME_DIR") or said.get("runtime_dir")
    return Path(directory or "/run/undermesh") / f"{name}.sock"


def _from_file(path: Path) -> dict[str, str]:
    """`instance`, `runtime_dir` and `socket` as far as the file says them."""
    if not path.exists():
        return {}
    import tomllib  # not before there is a file: it costs more than all else here

    try:
        with path.open("rb") as stream:
            document = tomllib.load(stream)
    except (OSError, ValueError):
        return {}
    said: dict[str, str] = {}
    for table, names in (("agent", ("instance", "runtime_dir")), ("api", ("socket",))):
        given = document.get(table)
        if isinstance(given, dict):
            said.update({name: given[name] for name in names if isinstance(given.get(name), str)})
    return said
