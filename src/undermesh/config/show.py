# SPDX-License-Identifier: Apache-2.0
"""The configuration for people: the effective one, and the commented file."""

import dataclasses
import textwrap

from undermesh.config import rooms
from undermesh.config.rooms import Config
from undermesh.config.settings import Setting
from undermesh.config.sources import settings

_HEAD = """\
# Configuration of undermesh. Every key is listed with its default; a line that starts with '#' has
# no effect. A key can also be set in the environment (UNDERMESH_KERNEL_SHARDS for `shards` in
# [kernel]) or by a flag of `undermesh up`; a flag wins over the environment, that over this file.
# `undermesh status --config` prints what is in effect.
"""


def describe() -> tuple[Setting, ...]:
    """Every key there is, with its default and a sentence, in the order of the file."""
    return settings()


def effective(config: Config) -> dict[str, dict[str, object]]:
    """Table → key → value as JSON holds it; secrets are masked, nested keys are dotted."""
    shown: dict[str, dict[str, object]] = {}
    for setting in settings():
        table, _, name = setting.key.partition(".")
        value: object = config
        for part in setting.key.split("."):
            value = getattr(value, part)
        shown.setdefault(table, {})[name] = None if value is None else setting.kind.show(value)
    shown["api"]["socket"] = str(config.socket)
    return shown


def render_toml() -> str:
    """The commented configuration file: every key commented out, at its default."""
    lines = [_HEAD]
    table = ""
    for setting in settings():
        if setting.table != table:
            table = setting.table
            lines.append(f"# {'-' * 97}\n# {_table_sentence(table)}\n[{table}]\n")
        lines.extend(_entry(setting))
    return "\n".join(lines).rstrip() + "\n"


def _table_sentence(table: str) -> str:
    room: type = rooms.Config
    for part in table.split("."):
        types = {field.name: field.type for field in dataclasses.fields(room)}
        found = types[part]
        assert isinstance(found, type)
        room = found
    return (room.__doc__ or "").strip().splitlines()[0]


def _entry(setting: Setting) -> list[str]:
    sentence = f"{setting.sentence} ({setting.kind.allowed})"
    value = f" {setting.default_text}" if setting.default_text else ""
    return [*(f"# {line}" for line in textwrap.wrap(sentence, 98)), f"#{setting.name} ={value}", ""]
