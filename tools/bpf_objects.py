# SPDX-License-Identifier: Apache-2.0
"""Compile the eBPF programs, only what changed.

    python3 tools/bpf_objects.py           bpf/programs/*.bpf.c → src/undermesh/bpf_objects/*.bpf.o
    python3 tools/bpf_objects.py --tests   and bpf/tests/*.bpf.c → build/bpf-tests/*.bpf.o

Standard library only: hatch_build.py loads it inside an isolated build environment, `./run` before
there is a virtual environment. An object is rebuilt when the hash of what went into it changes: its
source, every header below bpf/, the flags and the compiler's version. The hash is kept beside the
objects in `.built`, so a checkout with older time stamps is never mistaken for a newer one.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

APT_PACKAGES = "clang llvm libbpf-dev linux-libc-dev"
"""Debian and Ubuntu packages that compiling needs."""

FLAGS = (
    "-O2",
    "-g",
    "-target",
    "bpf",
    "-mcpu=v3",
    # Only bpf_tracing.h's register macros read it; without one they do not compile.
    "-D__TARGET_ARCH_x86",
    "-Wall",
    "-Werror",
    "-fno-stack-protector",
)


class BuildError(Exception):
    """What was compiled, what the compiler answered, and what to do."""


def include_flags() -> tuple[str, ...]:
    """`-I` for bpf/, seen from the root, and for the directory that holds <asm/types.h> on Debian's
    multiarch layout."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or f"{os.uname().machine}-linux-gnu"
    flags = ["-I", "bpf"]
    path = Path("/usr/include") / multiarch
    if not path.is_dir():
        path = Path("/usr/include") / f"{os.uname().machine}-linux-gnu"
    if path.is_dir():
        flags += ["-idirafter", str(path)]
    return tuple(flags)


def toolchain() -> tuple[str, str]:
    """Paths of clang and llvm-strip ($CLANG and $LLVM_STRIP choose others).

    Raises BuildError naming the packages when one is missing.
    """
    clang = shutil.which(os.environ.get("CLANG", "clang"))
    strip = shutil.which(os.environ.get("LLVM_STRIP", "llvm-strip"))
    if clang is None or strip is None:
        missing = "clang" if clang is None else "llvm-strip"
        raise BuildError(
            f"compiling the eBPF programs: {missing} is not on PATH; "
            f"on Debian or Ubuntu: apt-get install {APT_PACKAGES}"
        )
    return clang, strip


def headers_digest(*, root: Path) -> str:
    """SHA-256 over the path and text of every header below bpf/."""
    digest = hashlib.sha256()
    for path in sorted((root / "bpf").rglob("*.h")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def source_digest(source: Path, *, headers: str) -> str:
    """SHA-256 over everything of ours that decides what `source` compiles to."""
    digest = hashlib.sha256(source.read_bytes())
    digest.update(headers.encode() + b"\0" + "\0".join(FLAGS).encode())
    return digest.hexdigest()


def compile_one(source: Path, target: Path, *, root: Path, clang: str, strip: str) -> None:
    """Compile one program and drop its DWARF; BTF and BTF.ext, which CO-RE needs, stay.

    Written beside the target and renamed over it: whoever loads the object sees the old or the new.
    """
    partial = target.with_suffix(f".{os.getpid()}.partial")
    # Paths relative to the root, so that the same source gives the same bytes in any directory and
    # the verifier's complaints name bpf/lib/x.h.
    command = [clang, *FLAGS, "-fdebug-compilation-dir=.", *include_flags()]
    command += ["-c", str(source.relative_to(root)), "-o", str(partial)]
    try:
        for step in (command, [strip, "-g", str(partial)]):
            done = subprocess.run(step, cwd=root, capture_output=True, text=True, check=False)
            if done.returncode:
                name = source.relative_to(root)
                raise BuildError(f"compiling {name}: {step[0]} answered\n{done.stderr.strip()}")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def read_record(path: Path) -> Mapping[str, str]:
    """Object name → digest of its last build; empty when there is none that can be read."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def build(sources: Sequence[Path], *, into: Path, root: Path, force: bool = False) -> list[str]:
    """Bring `into`/NAME.bpf.o up to date with `sources`; returns the names that were compiled.

    An object whose source is gone is removed. clang is looked for only when something is stale.
    """
    record_path = into / ".built"
    record = {} if force else read_record(record_path)
    headers = headers_digest(root=root)
    wanted = {f"{s.name.removesuffix('.c')}.o": s for s in sources}
    digests = {name: source_digest(source, headers=headers) for name, source in wanted.items()}
    stale = [
        name
        for name, digest in digests.items()
        if record.get(name) != digest or not (into / name).is_file()
    ]
    gone = [path for path in into.glob("*.bpf.o") if path.name not in wanted]
    if not stale and not gone:
        return []
    into.mkdir(parents=True, exist_ok=True)
    for path in gone:
        path.unlink()
    if stale:
        clang, strip = toolchain()
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            jobs = [
                pool.submit(
                    compile_one, wanted[name], into / name, root=root, clang=clang, strip=strip
                )
                for name in stale
            ]
        for job in jobs:
            job.result()
    record_path.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n")
    return stale


def build_programs(*, root: Path, force: bool = False) -> list[str]:
    """The objects the wheel carries. Raises BuildError."""
    sources = sorted((root / "bpf" / "programs").glob("*.bpf.c"))
    into = root / "src" / "undermesh" / "bpf_objects"
    return build(sources, into=into, root=root, force=force)


def build_tests(*, root: Path, force: bool = False) -> list[str]:
    """The objects that only tests/kernel loads. Raises BuildError."""
    sources = sorted((root / "bpf" / "tests").glob("*.bpf.c"))
    return build(sources, into=root / "build" / "bpf-tests", root=root, force=force)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tests", action="store_true", help="also the objects of tests/kernel")
    parser.add_argument("--force", action="store_true", help="compile what is up to date, too")
    arguments = parser.parse_args()
    root = Path(__file__).resolve().parent.parent
    try:
        compiled = build_programs(root=root, force=arguments.force)
        if arguments.tests:
            compiled += build_tests(root=root, force=arguments.force)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    if compiled:
        print(f"compiled {', '.join(compiled)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
