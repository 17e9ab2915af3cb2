# SPDX-License-Identifier: Apache-2.0
"""The list of settings, read off the dataclasses that hold them."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from undermesh.config.kinds import Kind


def says(sentence: str, kind: Kind, *, env: str = "") -> Mapping[str, object]:
    """Metadata of a setting; `env` is a short name it has in the environment beside its own."""
    return {"sentence": sentence, "kind": kind, "env": env}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key of the configuration.

    `key` is dotted ("kernel.sizes.series"), `default` the value when nobody sets it and None when
    it is found at run time, `env` the names it has in the environment, the most telling first.
    """

    key: str
    env: tuple[str, ...]
    kind: Kind
    default: object
    sentence: str

    @property
    def secret(self) -> bool:
        """Whether the value is masked wherever it is shown."""
        return self.kind.name == "secret"

    @property
    def table(self) -> str:
        """The TOML table the key stands in."""
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The key within its table."""
        return self.key.rpartition(".")[2]

    @property
    def default_text(self) -> str:
        """The default as the TOML file would say it; empty when it is found at run time."""
        return "" if self.default in (None, "") else toml(self.kind.show(self.default))


def toml(value: object) -> str:
    """A scalar as TOML text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def settings_of(room: type, table: str = "") -> Iterator[Setting]:
    """Every setting of a dataclass and of the dataclasses in it, in the order they are written."""
    for field in dataclasses.fields(room):
        key = f"{table}.{field.name}" if table else field.name
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            yield from settings_of(field.type, key)
        elif "kind" in field.metadata:
            kind: Kind = field.metadata["kind"]
            full = "UNDERMESH_" + key.replace(".", "_").upper()
            short: str = field.metadata["env"]
            yield Setting(
                key=key,
                env=tuple(name for name in (short, full) if name),
                kind=kind,
                default=field.default,
                sentence=field.metadata["sentence"],
            )
