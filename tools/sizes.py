# SPDX-License-Identifier: Apache-2.0
"""One concept a file, one screen a function: the guards that keep it so.

Files: 450 lines. Functions: 60 lines, in Python and in bpf/. A SEC() body: 10 lines. Each source
file starts with its SPDX licence, and no module is named after a drawer (util, helper, common).
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 450
FUNCTION_LINES = 60
FUNCTION_RULE = 40
SECTION_LINES = 10
DRAWERS = re.compile(r"(^|_)(utils?|helpers?|common|managers?|base|misc)(_|$)")
PYTHON = ("src", "tools", "benchmarks", "tests", "examples")
ROOT = Path(__file__).resolve().parent.parent


def python_functions(text: str) -> Iterator[tuple[int, str, int]]:
    """(line, name, lines) of every function, its docstring not counted."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body
            if ast.get_docstring(node) is not None and len(body) > 1:
                body = body[1:]
            yield node.lineno, node.name, (node.end_lineno or 0) - body[0].lineno + 1


def c_functions(text: str) -> Iterator[tuple[int, str, int, bool]]:
    """(line, name, body lines, is an entry point) of every function, in kernel style: its opening
    and its closing brace each stand alone in the first column."""
    lines = text.splitlines()
    opened = None
    for at, line in enumerate(lines):
        if line == "{":
            opened = at
        elif line == "}" and opened is not None:
            start = opened
            while start and lines[start - 1] and not lines[start - 1].startswith(("}", "*/", "#")):
                start -= 1
            head = " ".join(lines[start:opened])
            entry = "SEC(" in head
            signature = re.sub(r'SEC\("[^"]*"\)', "", head)
            named = re.search(r"BPF_PROG\((\w+)|(\w+)\s*\(", signature)
            name = (named.group(1) or named.group(2)) if named else head
            yield start + 1, name, at - opened - 1, entry
            opened = None


def check_file(path: Path, text: str) -> Iterator[str]:
    """What is wrong with the file as a whole."""
    name = path.relative_to(ROOT)
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield f"{name}: {lines} lines, {FILE_LINES} allowed: which second concept moved in?"
    head = text[:400]
    if text.strip() and "SPDX-License-Identifier:" not in head:
        yield f"{name}: no SPDX-License-Identifier in its first lines"
    if path.suffix == ".py" and DRAWERS.search(path.stem):
        yield f"{name}: named after a drawer, not after what is in it"


def check_c(path: Path, text: str) -> Iterator[str]:
    for line, function, length, entry in c_functions(text):
        limit = SECTION_LINES if entry and path.parent.name == "programs" else FUNCTION_LINES
        if length > limit:
            name = path.relative_to(ROOT)
            yield f"{name}:{line}: {function} is {length} lines long, {limit} allowed"


def main() -> int:
    found: list[str] = []
    functions = long = 0
    for room in PYTHON:
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text()
            found += check_file(path, text)
            for line, function, length in python_functions(text):
                functions += 1
                long += length > FUNCTION_RULE
                if length > FUNCTION_LINES:
                    name = path.relative_to(ROOT)
                    found.append(
                        f"{name}:{line}: {function} is {length} lines long, "
                        f"{FUNCTION_LINES} allowed"
                    )
    for path in sorted((ROOT / "bpf").rglob("*.[ch]")):
        text = path.read_text()
        found += check_file(path, text)
        found += check_c(path, text)
    print(f"note: {long} of {functions} Python functions have more than {FUNCTION_RULE} lines")
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
