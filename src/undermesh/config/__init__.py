# SPDX-License-Identifier: Apache-2.0
"""TOML file, environment and flags → one frozen dataclass per room. The only reader of the
environment.

Names are loaded when they are first used: a command that only asks `find_socket` must not wait for
the rest (0.1 ms instead of 50).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undermesh.config.diagnostics import ConfigError, Diagnostic
    from undermesh.config.find import find_socket
    from undermesh.config.kinds import Secret
    from undermesh.config.rooms import (
        AgentConfig,
        ApiConfig,
        Config,
        HostConfig,
        KernelConfig,
        LogConfig,
        TelemetryConfig,
    )
    from undermesh.config.settings import Setting
    from undermesh.config.show import describe, effective, render_toml
    from undermesh.config.sizes import MapSizes
    from undermesh.config.sources import DEFAULT_FILE, bearer, load

__all__ = [
    "DEFAULT_FILE",
    "AgentConfig",
    "ApiConfig",
    "Config",
    "ConfigError",
    "Diagnostic",
    "HostConfig",
    "KernelConfig",
    "LogConfig",
    "MapSizes",
    "Secret",
    "Setting",
    "TelemetryConfig",
    "bearer",
    "describe",
    "effective",
    "find_socket",
    "load",
    "render_toml",
]

_MODULES = {
    "diagnostics": ("ConfigError", "Diagnostic"),
    "find": ("find_socket",),
    "kinds": ("Secret",),
    "rooms": (
        "AgentConfig",
        "ApiConfig",
        "Config",
        "HostConfig",
        "KernelConfig",
        "LogConfig",
        "TelemetryConfig",
    ),
    "settings": ("Setting",),
    "show": ("describe", "effective", "render_toml"),
    "sizes": ("MapSizes",),
    "sources": ("DEFAULT_FILE", "bearer", "load"),
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
