# SPDX-License-Identifier: Apache-2.0
"""Objects that need not be loaded again: their programs are running, from the same bytes.

Verifying the tap takes the kernel a second or more, while nobody reads the rings; an agent that
comes back finds out from a hash that it need not. The hash covers the object, its constants and the
ids of the programs on the hooks, which the kernel never gives twice: whoever changed a hook since,
the hash is wrong then, and the object is loaded and compared.
"""

from collections.abc import Iterable, Mapping

from undermesh.kernel import errors, existing, specs
from undermesh.kernel.loading import Design
from undermesh.kernel.objects import Opened
from undermesh.kernel.options import Options
from undermesh.kernel.pins import Pins
from undermesh.kernel.programs import Program


def running(
    pinned: Pins, design: Design, options: Options, kept: Iterable[str]
) -> dict[str, Program]:
    """Programs on their hooks that are known to be what loading would make, by name.

    None when a map is not taken over: programs are bound to the maps they were loaded with.
    """
    if design.maps.keys() - set(kept):
        return {}
    found: dict[str, Program] = {}
    for opened in design.objects:
        programs = _on_hooks(pinned, opened)
        if programs and pinned.layout(_key(opened)) == _identity(opened, options, programs):
            found |= programs
        else:
            for program in programs.values():
                program.close()
    return found


def record(pinned: Pins, design: Design, options: Options, programs: Mapping[str, Program]) -> None:
    """Notes what runs on the hooks now, for the next agent."""
    for opened in design.objects:
        if opened.programs.keys() <= programs.keys():
            pinned.note(_key(opened), _identity(opened, options, programs))


def _on_hooks(pinned: Pins, opened: Opened) -> dict[str, Program]:
    """Every program of an object through its pinned link; nothing when one is not pinned."""
    found: dict[str, Program] = {}
    try:
        for name, spec in opened.programs.items():
            link = pinned.link(name)
            if link is None:
                break
            try:
                found[name] = existing.open_program(link.facts().program_id, spec)
            finally:
                link.close()
        else:
            return found
    except errors.KernelError:  # a program that is gone, or that we may not look at
        pass
    for program in found.values():
        program.close()
    return {}


def _identity(opened: Opened, options: Options, programs: Mapping[str, Program]) -> int:
    constants = tuple(sorted((name, str(value)) for name, value in options.constants().items()))
    ids = tuple((name, programs[name].facts().id) for name in sorted(opened.programs))
    return specs.combine(opened.digest, constants, ids)


def _key(opened: Opened) -> str:
    """Fits the 16 bytes of the map of layouts."""
    return f"object-{opened.name}"
