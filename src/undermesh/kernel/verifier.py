# SPDX-License-Identifier: Apache-2.0
"""What the verifier said, when it said no."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from undermesh.kernel import errors, libbpf, specs
from undermesh.kernel.libbpf import ffi, lib

_LOG_BYTES = 8 << 20
"""Room for one program's log: address space, touched only as far as the verifier writes."""

_new_untouched: Any = ffi.new_allocator(should_clear_after_alloc=False)


def give_logs(pointer: Any) -> Mapping[str, Any]:
    """Gives each program of a libbpf object a log of its own; the buffers by program name.

    libbpf asks for a log only when a program was refused, then has it verified a second time.
    """
    logs: dict[str, Any] = {}
    for program in specs.each_program(pointer):
        if lib().bpf_program__autoload(program):
            log = _new_untouched("char[]", _LOG_BYTES)
            log[0] = b"\0"
            lib().bpf_program__set_log_buf(program, log, _LOG_BYTES)
            logs[libbpf.text(lib().bpf_program__name(program))] = log
    return logs


def load_error(
    name: str, errno: int, printed: Sequence[str], logs: Mapping[str, Any]
) -> errors.KernelError:
    """The error for an object that did not load: which program, what the verifier said of it."""
    program = next((m[1] for line in printed if (m := re.match(r"prog '(.+?)':", line))), "")
    if not program:
        program = next((name for name, log in logs.items() if libbpf.text(log)), "")
    log = libbpf.text(logs[program]) if program in logs else ""
    doing = f"loading {program} of object {name}" if program else f"loading object {name}"
    error: errors.KernelError
    if errors.last_useful_lines(log):
        error = errors.VerifierRejected(doing, program=program, errno=errno, log=log)
    else:
        error = errors.refused(doing, errno, hints=" | ".join(printed[-3:]))
    error.program = program
    return error
