# SPDX-License-Identifier: Apache-2.0
"""Finding the library, in a process of its own: the first one opened is kept."""

import subprocess
import sys


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_library_that_is_not_there_names_the_package():
    script = (
        "from pathlib import Path; from undermesh.kernel import errors, libbpf\n"
        "try: libbpf.use(Path('/nowhere/libbpf.so.1'))\n"
        "except errors.LibraryMissing as error: print(error)"
    )
    assert "opening /nowhere/libbpf.so.1" in run(script)
    assert "apt-get install libbpf1" in run(script)


def test_a_library_without_the_functions_is_not_libbpf():
    script = (
        "from pathlib import Path; from undermesh.kernel import errors, libbpf\n"
        "try: libbpf.use(Path('libc.so.6'))\n"
        "except errors.LibraryMissing as error: print(error)"
    )
    assert "opening libc.so.6" in run(script)


def test_what_the_library_prints_is_kept_from_stderr():
    script = (
        "from undermesh.kernel import errors, libbpf\n"
        "from undermesh.kernel.objects import Opened\n"
        "try: Opened(b'no ELF', name='x')\n"
        "except errors.OurFault as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "opening object x" in done.stdout
    assert done.stderr == ""
