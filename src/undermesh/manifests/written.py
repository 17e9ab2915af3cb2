# SPDX-License-Identifier: Apache-2.0
"""Documents → YAML, in the order people write them: apiVersion, kind, metadata, then the rest."""

from collections.abc import Mapping

import yaml

_FIRST = ("apiVersion", "kind", "metadata", "name", "namespace")


class _Dumper(yaml.SafeDumper):
    """Lists are indented below their key, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def written(document: Mapping[str, object]) -> str:
    """One document as YAML, the same text for the same document whatever its order was."""
    return yaml.dump(
        _ordered(document),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )


def _ordered(value: object) -> object:
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: (_FIRST.index(key) if key in _FIRST else 99, str(key)))
        return {key: _ordered(value[key]) for key in keys}
    if isinstance(value, list | tuple):
        return [_ordered(one) for one in value]
    return value
