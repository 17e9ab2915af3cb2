# SPDX-License-Identifier: Apache-2.0
"""What crosses the kernel line is only ever appended to.

Compares every struct and enum of bpf/abi with bpf/abi/layout.json, the layouts already released:

- a field keeps its offset and type, an enumerator its number, for good (padding may be used up);
- the key of a map never changes size;
- there is no hole the compiler filled: padding is a field, so that it can be zeroed;
- what was appended is recorded: `./run check --update-layout`, refused while one of these fails.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from tools import bpf_objects

ROOT = Path(__file__).resolve().parent.parent
ABI = ROOT / "bpf" / "abi"
RECORD = ABI / "layout.json"

SCALARS = {"__u8": 1, "__s8": 1, "char": 1, "__u16": 2, "__s16": 2, "__u32": 4, "__s32": 4}
SCALARS |= {"__u64": 8, "__s64": 8, "__be16": 2, "__be32": 4, "__be64": 8}


class Struct(TypedDict):
    """Bytes, and name → "offset type" in the order of the fields."""

    size: int
    fields: dict[str, str]


class Layout(TypedDict):
    """Everything bpf/abi defines."""

    structs: dict[str, Struct]
    enums: dict[str, dict[str, int]]


def clang(*arguments: str) -> str:
    """clang's answer about one program that includes all of bpf/abi."""
    compiler, _ = bpf_objects.toolchain()
    includes = "".join(f'#include "abi/{path.name}"\n' for path in sorted(ABI.glob("*.h")))
    command = [compiler, "-target", "bpf", *bpf_objects.include_flags()]
    command += ["-fsyntax-only", *arguments, "-x", "c", "-"]
    done = subprocess.run(
        command, cwd=ROOT, input=includes, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise bpf_objects.BuildError(f"reading bpf/abi: clang answered\n{done.stderr}")
    return done.stdout


def structs() -> dict[str, Struct]:
    """Name → layout of each `struct um_*`."""
    found: dict[str, Struct] = {}
    for block in clang("-Xclang", "-fdump-record-layouts-complete").split("\n\n"):
        named = re.search(r"^ +0 \| (?:struct|union) (um_\w+)$", block, re.MULTILINE)
        size = re.search(r"\[sizeof=(\d+)", block)
        if named is None or size is None:
            continue
        # Three spaces: a field of this struct. More: a field of a struct inside it.
        fields = re.findall(r"^ +(\d+) \|   (\S.*) (\w+)$", block, re.MULTILINE)
        found[named[1]] = Struct(
            size=int(size[1]),
            fields={name: f"{offset} {kind}" for offset, kind, name in fields},
        )
    return dict(sorted(found.items()))


def enums() -> dict[str, dict[str, int]]:
    """Name → enumerator → number, of each `enum um_*`; numbers are written out in the source."""
    found: dict[str, dict[str, int]] = {}
    for path in sorted(ABI.glob("*.h")):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.DOTALL)
        for name, body in re.findall(r"enum (um_\w+) \{(.*?)\};", text, re.DOTALL):
            members = {}
            for item in filter(None, (part.strip() for part in body.split(","))):
                member, _, number = (part.strip() for part in item.partition("="))
                if not number:
                    raise bpf_objects.BuildError(
                        f"{path.name}: {member} has no number of its own; "
                        "enumerators that leave the kernel have explicit ones"
                    )
                members[member] = int(number, 0)
            found[name] = members
    return dict(sorted(found.items()))


def is_padding(field: str) -> bool:
    return re.fullmatch(r"pad\d*", field) is not None


def bytes_of(kind: str, *, known: dict[str, Struct]) -> int:
    """Size of a field's type as clang writes it: `__u8[16]`, `struct um_stream`."""
    base, _, rest = kind.partition("[")
    count = 1
    for length in re.findall(r"\d+", rest):
        count *= int(length)
    name = base.strip()
    if name in SCALARS:
        return SCALARS[name] * count
    return known[name.removeprefix("struct ").removeprefix("union ")]["size"] * count


def holes(layout: Layout) -> Iterator[str]:
    """Bytes of a struct that belong to no field."""
    for name, struct in layout["structs"].items():
        end = 0
        for field, place in struct["fields"].items():
            offset, kind = place.split(" ", 1)
            if int(offset) != end:
                yield f"struct {name}: {int(offset) - end} bytes before {field} have no name"
            end = int(offset) + bytes_of(kind, known=layout["structs"])
        if end != struct["size"]:
            yield f"struct {name}: {struct['size'] - end} bytes at its end have no name"


def broken(now: Layout, released: Layout) -> Iterator[str]:
    """What of the released layouts no longer holds."""
    for name, struct in released["structs"].items():
        if name not in now["structs"]:
            yield f"struct {name} is gone"
            continue
        ours = now["structs"][name]
        for field, place in struct["fields"].items():
            if not is_padding(field) and ours["fields"].get(field) != place:
                answer = ours["fields"].get(field, "no place")
                yield f"{name}.{field} was at {place}, is at {answer}"
        if name.endswith("_key") and ours["size"] != struct["size"]:
            yield f"struct {name} is a map key: it was {struct['size']} bytes, is {ours['size']}"
    for name, members in released["enums"].items():
        for member, number in members.items():
            ours_now = now["enums"].get(name, {}).get(member)
            if ours_now != number:
                yield f"{member} was {number}, is {ours_now}: a number is never reused or moved"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--update", action="store_true", help="record what was appended")
    parser.add_argument("--restart", action="store_true", help="record anew (new layout version)")
    arguments = parser.parse_args()
    try:
        now = Layout(structs=structs(), enums=enums())
    except bpf_objects.BuildError as error:
        print(error)
        return 1
    released = now
    if RECORD.exists() and not arguments.restart:
        released = json.loads(RECORD.read_text())
    found = [*holes(now), *broken(now, released)]
    if not found and (arguments.update or arguments.restart):
        RECORD.write_text(json.dumps(now, indent=1) + "\n")
    elif not found and (not RECORD.exists() or now != released):
        found = ["bpf/abi has grown: ./run check --update-layout records it in bpf/abi/layout.json"]
    for finding in found:
        print(finding)
    print(f"note: {len(now['structs'])} structs, {len(now['enums'])} enums")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
