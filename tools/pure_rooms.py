# SPDX-License-Identifier: Apache-2.0
"""Pure rooms stay pure: what import-linter cannot see, because it is a call and not an import.

In the pure rooms (PURE_ROOMS): no `await`, no clock, no open(), no environment, no logging. In all
of src: `os.environ` is read by config only.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PURE_ROOMS = ("model", "identity", "telemetry", "traffic", "compile", "reconcile", "manifests")

FORBIDDEN_CALLS = {
    "open": "opens a file",
    "print": "prints",
    "input": "reads the terminal",
    "datetime.now": "reads the clock",
    "datetime.utcnow": "reads the clock",
    "datetime.today": "reads the clock",
    "date.today": "reads the clock",
    "datetime.datetime.now": "reads the clock",
    "datetime.datetime.utcnow": "reads the clock",
    "datetime.date.today": "reads the clock",
    "np.random.default_rng": "draws random numbers",
}
FILE_METHODS = {"read_text", "write_text", "read_bytes", "write_bytes", "tofile"}
ENVIRONMENT = {"os.environ", "os.getenv", "os.environb", "os.putenv"}


def dotted(node: ast.expr) -> str:
    """`a.b.c` as text; empty for anything that is not a plain chain of names."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            head = dotted(value)
            return f"{head}.{attribute}" if head else ""
        case _:
            return ""


def impurities(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what it does) for each thing a pure room must not do."""
    for node in ast.walk(tree):
        match node:
            case ast.Await() | ast.AsyncFor() | ast.AsyncWith() | ast.AsyncFunctionDef():
                yield node.lineno, "waits"
            case ast.Call(func=function):
                name = dotted(function)
                if name in FORBIDDEN_CALLS:
                    yield node.lineno, f"{name}() {FORBIDDEN_CALLS[name]}"
                elif isinstance(function, ast.Attribute) and function.attr in FILE_METHODS:
                    yield node.lineno, f".{function.attr}() touches a file"


def environment_reads(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what it does) for each look at the process environment."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and dotted(node) in ENVIRONMENT:
            yield node.lineno, f"{dotted(node)} belongs to config"
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            for alias in node.names:
                if f"os.{alias.name}" in ENVIRONMENT:
                    yield node.lineno, f"os.{alias.name} belongs to config"


def main() -> int:
    source = Path(__file__).resolve().parent.parent / "src" / "undermesh"
    found = []
    for path in sorted(source.rglob("*.py")):
        tree = ast.parse(path.read_text(), filename=str(path))
        room = path.relative_to(source).parts[0].removesuffix(".py")
        if room in PURE_ROOMS:
            found += [(path, *finding) for finding in impurities(tree)]
        if room != "config":
            found += [(path, *finding) for finding in environment_reads(tree)]
    for path, line, what in found:
        print(f"{path.relative_to(source.parent.parent)}:{line}: {what}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
