# SPDX-License-Identifier: Apache-2.0
"""What can go wrong at the kernel's edge, split by who must act.

    KernelError
    ├── OperatorError          the operator: install, allow, stop or free something
    │   ├── LibraryMissing     libbpf.so.1 is not there or too old
    │   ├── NotPermitted       EPERM or EACCES: a capability, a security module, lockdown
    │   ├── HookTaken          another program holds the cgroup and shares it with nobody
    │   ├── InstanceBusy       another agent of the same instance is running
    │   └── MountRefused       bpffs could not be mounted
    ├── KernelLacks            the kernel: a newer or differently built one is needed
    │   ├── BtfMissing         no /sys/kernel/btf/vmlinux
    │   └── FeatureMissing     a required program type, map type or hook is not there
    ├── CallRefused            the world: the kernel answered an errno nobody expected
    │   └── MapFull            the map took all it can hold
    └── OurFault               us: report it
        ├── VerifierRejected   the verifier does not accept a program
        ├── LayoutMismatch     two objects, or C and Python, disagree about a layout
        └── NotInObject        a map, program, variable or struct the object does not have

Every error carries `doing` (what was being done, to which object), and where the kernel answered,
`errno`. Its text says both and what to try.
"""

import errno as errnos
import os


class KernelError(Exception):
    """Anything this room raises on purpose."""

    def __init__(self, doing: str, *, answer: str, advice: str = "", errno: int = 0) -> None:
        self.doing = doing
        self.answer = answer
        self.advice = advice
        self.errno = errno
        self.program = ""
        """The program that was refused, where it was one."""
        text = f"{doing}: {answer}"
        super().__init__(f"{text}; {advice}" if advice else text)


class OperatorError(KernelError):
    """The operator can put it right."""


class LibraryMissing(OperatorError):
    """libbpf.so.1 is not installed, or not the one expected."""


class NotPermitted(OperatorError):
    """The kernel refused for want of a capability, or by policy."""


class HookTaken(OperatorError):
    """Another program is attached to the cgroup in a mode that shares with nobody."""


class InstanceBusy(OperatorError):
    """Another agent holds this instance."""


class MountRefused(OperatorError):
    """The BPF file system is not mounted and could not be."""


class KernelLacks(KernelError):
    """This kernel cannot."""


class BtfMissing(KernelLacks):
    """The kernel does not say how its structs are laid out."""


class FeatureMissing(KernelLacks):
    """A program, map or hook that undermesh cannot do without."""


class CallRefused(KernelError):
    """The kernel answered a call with an errno."""


class MapFull(CallRefused):
    """A map holds `max_entries` already; `taken` entries of the update went in."""

    def __init__(self, doing: str, *, answer: str, taken: int, errno: int) -> None:
        super().__init__(doing, answer=answer, advice="raise its size", errno=errno)
        self.taken = taken


class OurFault(KernelError):
    """A bug in undermesh."""


class VerifierRejected(OurFault):
    """The verifier refused a program. `log` is the whole log, the text its last useful lines."""

    def __init__(self, doing: str, *, program: str, errno: int, log: str) -> None:
        shown = last_useful_lines(log)
        answer = f"the verifier answered {name_of(errno)}"
        super().__init__(doing, answer=answer + (f"\n{shown}" if shown else ""), errno=errno)
        self.program = program
        self.log = log


class LayoutMismatch(OurFault):
    """Two descriptions of one struct differ."""


class NotInObject(OurFault):
    """A name that should be in a compiled object and is not."""


ENOTSUPP = 524
"""The kernel's own "not supported", which has no name in user space (include/linux/errno.h)."""

_NOISE = (
    "processed ",
    "verification time",
    "stack depth",
    "mark_precise:",
    "from ",
    "-- BEGIN",
    "-- END",
)


def name_of(errno: int) -> str:
    """ "EPERM (Operation not permitted)"."""
    errno = abs(errno)
    if errno == ENOTSUPP:
        return "ENOTSUPP (not supported by the kernel)"
    return f"{errnos.errorcode.get(errno, errno)} ({os.strerror(errno)})"


def last_useful_lines(log: str, *, limit: int = 6) -> str:
    """The end of a verifier log without its statistics, led by the C line it stopped at.

    libbpf has the verifier interleave the source as `; code @ file.c:line` comments (older kernels:
    `; code`); the last of them before the complaint is where the program went wrong.
    """
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    useful = [line for line in lines if not line.lstrip().startswith(_NOISE)]
    if not useful:
        return ""
    source = next((line for line in reversed(useful) if line.startswith("; ")), None)
    tail = useful[-limit:]
    if source is not None and source not in tail:
        tail = [source, *tail]
    return "\n".join(f"    {line}" for line in tail)


def refused(doing: str, errno: int, *, hints: str = "") -> KernelError:
    """The error for a call that answered `errno`; `hints` is what the library printed meanwhile."""
    errno = abs(errno)
    answer = f"the kernel answered {name_of(errno)}" + (f" [{hints}]" if hints else "")
    if errno in (errnos.EPERM, errnos.EACCES):
        return NotPermitted(doing, answer=answer, advice=permission_advice(), errno=errno)
    if errno == errnos.ENOMEM:
        advice = "free memory, or raise the memory limit of the unit the agent runs in"
        return CallRefused(doing, answer=answer, advice=advice, errno=errno)
    return CallRefused(doing, answer=answer, errno=errno)


# Capability bits from <linux/capability.h>.
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}


def missing_capabilities() -> tuple[str, ...]:
    """Which of CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON this process lacks (CAP_SYS_ADMIN has most)."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            line = next(line for line in status if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return ()
    held = int(line.split()[1], 16)
    admin = held >> _CAPABILITIES["CAP_SYS_ADMIN"] & 1
    wanted = ("CAP_NET_ADMIN",) if admin else ("CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON")
    return tuple(name for name in wanted if not held >> _CAPABILITIES[name] & 1)


def permission_advice() -> str:
    """What to try after EPERM, from what this process may do and how locked down the kernel is."""
    missing = missing_capabilities()
    if missing:
        return f"needs {', '.join(missing)}: run as root, or give the unit these capabilities"
    if lockdown() == "confidentiality":
        return "the kernel is locked down (confidentiality), which forbids eBPF tracing"
    return "this process has the capabilities: a security module or a seccomp filter may forbid it"


def lockdown() -> str | None:
    """ "none", "integrity" or "confidentiality"; None when securityfs does not say."""
    try:
        with open("/sys/kernel/security/lockdown", encoding="ascii") as file:
            modes = file.read().split()
    except OSError:
        return None
    return next((mode.strip("[]") for mode in modes if mode.startswith("[")), None)
