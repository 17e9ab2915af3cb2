# SPDX-License-Identifier: Apache-2.0
"""Texts → documents: one plain value each, and where in the text a path of it stands."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from yaml import Node

from undermesh.manifests import yaml12
from undermesh.manifests.faults import Fault, Path, dotted
from undermesh.manifests.source import Source
from undermesh.manifests.yaml12 import Plain
from undermesh.model.objects import Diagnostic

MOST_TEXT = 128 * 1024 * 1024
"""Characters of one source: ten thousand services of ten endpoints are 13 million."""


@dataclass(slots=True)
class Document:
    """One document of one source. Where it stands is looked up only when it is asked for."""

    source: Source
    value: Plain
    line: int = 1
    node: Node | None = None
    base: Path = ()
    """Where `value` stands in the document of `node`: an item of a List."""
    canonical: str | None = None
    """The text of `value` where that is canonical already: what a store gives back."""
    _composed: bool = field(default=False, repr=False)

    def part(self, path: Path, value: Plain) -> "Document":
        """A document of its own within this one."""
        line = yaml12.line(node) if (node := self._find(path)) else self.line
        return Document(
            source=self.source, value=value, line=line, node=self.node, base=self.base + path
        )

    def origin(self) -> str:
        """ "file:line" of where it begins."""
        return self.source.origin or f"{self.source.name}:{self.line}"

    def diagnostic(self, fault: Fault) -> Diagnostic:
        """`fault` with its place in the text."""
        node = self._find(fault.path, at_key=fault.at_key)
        line = yaml12.line(node) if node else self.line
        column = node.start_mark.column + 1 if node else 1
        return Diagnostic(
            file=self.source.name,
            line=line,
            column=column,
            field=dotted(self.base + fault.path),
            message=fault.message,
            allowed=fault.allowed,
            severity=fault.severity,
        )

    def _find(self, path: Path, *, at_key: bool = False) -> Node | None:
        if self.node is None and not self._composed:
            self._composed = True
            self.node = _first_node(self.source.text)
        if self.node is None:
            return None
        return yaml12.find(self.node, self.base + path, at_key=at_key)


def documents(source: Source) -> Iterator[Document | Diagnostic]:
    """The documents of one source and what keeps others from being read; ends where YAML does."""
    if len(source.text) > MOST_TEXT:
        said = f"has {len(source.text)} characters, more than are read of one file"
        yield _broken(source, 1, 1, said, f"at most {MOST_TEXT}: several files")
        return
    quick = _json(source)
    if quick is not None:
        yield quick
        return
    try:
        for node in yaml12.nodes(source.text):
            yield from _document(source, node)
    except yaml12.Broken as wrong:
        yield _broken(source, wrong.line, wrong.column, wrong.problem, "")


def _document(source: Source, node: Node) -> Iterator[Document | Diagnostic]:
    values = yaml12.Values()
    problems = values.problems
    try:
        value = values.of(node)
    except yaml12.Problem as wrong:
        problems.append(wrong)
    for problem in problems:
        mark = problem.node.start_mark
        yield _broken(source, mark.line + 1, mark.column + 1, problem.problem, "")
    if not problems and value is not None:
        yield Document(source=source, value=value, line=yaml12.line(node), node=node)


def _broken(source: Source, line: int, column: int, message: str, allowed: str) -> Diagnostic:
    return Diagnostic(
        file=source.name, line=line, column=column, field="", message=message, allowed=allowed
    )


class _Unusual(Exception):
    """JSON that only the slow way can say something sensible about."""


def _json(source: Source) -> Document | None:
    """A source that is one JSON object, read by the faster parser; None for any other."""
    text = source.text
    if not text.lstrip(" \t\r\n").startswith("{"):
        return None
    try:
        value = msgspec.json.decode(text)
        # Said again it is the same text: no name in it is given twice.
        if msgspec.json.encode(value, order="sorted") == text.encode():
            return Document(source=source, value=value, canonical=text)
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=yaml12.plain,
            parse_float=yaml12.plain,
            parse_constant=_refuse,
        )
        # Half a surrogate pair, which JSON can write and no text can hold, ends here.
        canonical = msgspec.json.encode(value, order="sorted").decode()
    except (ValueError, RecursionError, msgspec.MsgspecError, _Unusual):
        return None
    line = 1 + text[: len(text) - len(text.lstrip(" \t\r\n"))].count("\n")
    return Document(source=source, value=value, line=line, canonical=canonical)


def _object(pairs: list[tuple[str, Plain]]) -> dict[str, Plain]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Unusual
    return value


def _refuse(constant: str) -> None:
    raise _Unusual(constant)


def _first_node(text: str) -> Node | None:
    """The node of JSON text: nearly all JSON is YAML, and positions are only asked for errors."""
    try:
        for node in yaml12.nodes(text):
            return node
    except yaml12.Broken:
        pass
    return None
