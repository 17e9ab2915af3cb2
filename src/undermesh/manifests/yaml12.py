# SPDX-License-Identifier: Apache-2.0
"""YAML 1.2 (core schema) → plain values, each of which can be found again in the text.

PyYAML resolves scalars as YAML 1.1 does: `on` is true, `22:22` is 1342, a date is a date. Here the
parser of libyaml makes nodes, and what a plain scalar means is decided by the core schema. Text is
hostile: depth, number of values (aliases written out) and size are bounded.
"""

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from yaml import MappingNode, Node, ScalarNode, SequenceNode, YAMLError
from yaml._yaml import CParser
from yaml.error import MarkedYAMLError
from yaml.reader import ReaderError
from yaml.resolver import BaseResolver

from undermesh.manifests.faults import Path

Plain: TypeAlias = Any
"""None, bool, int, float, str, list or dict with text keys: what JSON can say."""

MOST_DEEP = 64
MOST_VALUES = 4_000_000
"""Values in one document, each alias counted as what it stands for."""

_PLAIN = "plain"
_QUOTED = "quoted"
_TEXT_TAG = "tag:yaml.org,2002:str"
_TYPE_TAGS = {
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:null": type(None),
}

_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NUMBER_FIRST = frozenset("-+.0123456789")
_NUMBER = re.compile(
    r"([-+]?[0-9]+)"
    r"|0o([0-7]{1,20})"
    r"|0x([0-9a-fA-F]{1,15})"
    r"|([-+]?(?:\.[0-9]{1,40}|[0-9]{1,40}(?:\.[0-9]{0,40})?)(?:[eE][-+]?[0-9]{1,2})?)"
)
_MOST_DIGITS = 18


class Broken(Exception):
    """Text that is no YAML from `line`, `column` (from 1) on."""

    def __init__(self, line: int, column: int, problem: str) -> None:
        super().__init__(problem)
        self.line, self.column, self.problem = line, column, problem


class Problem(Exception):
    """A document that is YAML and cannot be said in JSON; `node` is where."""

    def __init__(self, node: Node, problem: str) -> None:
        super().__init__(problem)
        self.node, self.problem = node, problem


class _Composer(CParser, BaseResolver):
    """Nodes whose tag says only whether they were plain, quoted, or had a tag written."""

    def __init__(self, text: str) -> None:
        CParser.__init__(self, text)
        BaseResolver.__init__(self)
        self._depth = 0

    def resolve(self, kind: object, value: object, implicit: tuple[bool, bool]) -> str:
        return _PLAIN if kind is ScalarNode and implicit[0] else _QUOTED

    # Called by the C code before and after each node: it recurses on the C stack, which deep
    # nesting would overflow.
    def descend_resolver(self, parent: object, index: object) -> None:
        self._depth += 1
        if self._depth > MOST_DEEP:
            raise RecursionError

    def ascend_resolver(self) -> None:
        self._depth -= 1


def nodes(text: str) -> Iterator[Node]:
    """The documents of `text`, empty ones too. Raises Broken where it cannot be gone on."""
    try:
        composer = _Composer(text)
        while composer.check_node():
            if node := composer.get_node():
                yield node
    except ReaderError as wrong:
        before = text[: wrong.position] if isinstance(wrong.position, int) else ""
        raise Broken(before.count("\n") + 1, 1, "has a character that YAML has not") from None
    except MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        problem = " ".join(part for part in (wrong.context, wrong.problem) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise Broken(line, column, f"is not YAML: {problem}") from None
    except RecursionError:
        raise Broken(1, 1, f"is nested more than {MOST_DEEP} deep") from None
    except (YAMLError, ValueError) as wrong:  # surrogates cannot be encoded
        raise Broken(1, 1, f"is not YAML: {wrong}"[:200]) from None


class Values:
    """Nodes → plain values, until there are too many of them."""

    def __init__(self) -> None:
        self._left = MOST_VALUES
        self._depth = 0
        self.problems: list[Problem] = []

    def of(self, node: Node) -> Plain:
        """The plain value of `node`. What is wrong is left in `problems`, all of it."""
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        self._left -= len(node.value)
        self._depth += 1
        if self._left < 0 or self._depth > MOST_DEEP:  # an alias within itself has no end
            raise Problem(node, "is more than is read of one document, aliases written out")
        if isinstance(node, MappingNode):
            value: Plain = self._mapping(node)
        else:
            value = [self.of(held) for held in node.value]
        self._depth -= 1
        return value

    def _mapping(self, node: MappingNode) -> dict[str, Plain]:
        value: dict[str, Plain] = {}
        for key, held in node.value:
            if not isinstance(key, ScalarNode):
                self.problems.append(Problem(key, "is no text and cannot be the name of a field"))
                continue
            name = key.value
            if name in value:
                first = next(k for k, _ in node.value if k.value == name)
                self.problems.append(
                    Problem(key, f'"{name[:60]}" is given twice, first in line {line(first)}')
                )
            elif name == "<<" and key.tag == _PLAIN:
                self.problems.append(
                    Problem(key, "merging (<<) is no YAML 1.2: write the fields out")
                )
            value[name] = self.of(held)
        return value

    def _scalar(self, node: ScalarNode) -> Plain:
        tag, text = node.tag, node.value
        if tag is _QUOTED or tag == _TEXT_TAG:
            return text
        value = plain(text)
        if tag is not _PLAIN and type(value) is not _TYPE_TAGS.get(tag):
            self.problems.append(Problem(node, f"the tag {tag[:60]} is not understood here"))
        return value


def plain(text: str) -> bool | int | float | str | None:
    """What a plain scalar means in the core schema.

    Numbers beyond 64 bits, .inf and .nan stay text: no field takes them, and its error then shows
    them as they were written.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _NUMBER_FIRST and (match := _NUMBER.fullmatch(text)):
        whole, octal, hexadecimal, _ = match.groups()
        if whole:
            return int(whole) if len(whole) <= _MOST_DIGITS else text
        if octal:
            return int(octal, 8)
        return int(hexadecimal, 16) if hexadecimal else float(text)
    return text


def line(node: Node) -> int:
    """The line `node` begins in, from 1."""
    return int(node.start_mark.line) + 1


def find(node: Node, path: Path, *, at_key: bool = False) -> Node:
    """The node at `path`, or as near to it as there is one; `at_key`: the key that leads there."""
    found = node
    for depth, step in enumerate(path, start=1):
        key, held = _step(found, step)
        if held is None:
            return found
        found = key if at_key and key is not None and depth == len(path) else held
    return found


def _step(node: Node, step: str | int) -> tuple[Node | None, Node | None]:
    if isinstance(node, SequenceNode) and isinstance(step, int):
        return None, node.value[step] if step < len(node.value) else None
    if not isinstance(node, MappingNode):
        return None, None
    for key, held in node.value:
        if key.value == step:
            return key, held
    for key, held in node.value:
        if _folded(key.value) == _folded(step):
            return key, held
    return None, None


def _folded(name: object) -> str:
    """Consul takes `EnableTagOverride` for enable_tag_override."""
    return str(name).replace("_", "").lower()
