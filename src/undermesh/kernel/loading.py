# SPDX-License-Identifier: Apache-2.0
"""undermesh's five objects, opened, checked against each other and loaded over one set of maps."""

import importlib.resources
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from undermesh.kernel import errors, libbpf, roles, specs, vmlinux
from undermesh.kernel import maps as maps_of
from undermesh.kernel.btf import Kind
from undermesh.kernel.kinds import MapType
from undermesh.kernel.loaded import Loaded
from undermesh.kernel.maps import Map, MapSpec
from undermesh.kernel.objects import Configuration, Opened
from undermesh.kernel.options import Options
from undermesh.kernel.programs import Program, ProgramSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What the objects want, before anything is in the kernel.

    `maps` are those shared between programs; `missing` says of each program that cannot be loaded
    on this kernel why.
    """

    objects: tuple[Opened, ...]
    maps: Mapping[str, MapSpec]
    programs: Mapping[str, ProgramSpec]
    missing: dict[str, str]


def design(options: Options) -> Design:
    """Opens the objects and asks the kernel which of their hooks it has.

    Raises NotInObject, LayoutMismatch, BtfMissing, FeatureMissing, OperatorError.
    """
    objects = tuple(_open(name, options) for name in roles.OBJECTS)
    programs = {name: spec for o in objects for name, spec in o.programs.items()}
    missing = _missing(programs)
    for name in sorted(roles.REQUIRED & missing.keys()):
        raise errors.FeatureMissing(f"loading {name}", answer=missing[name])
    return Design(
        objects=objects,
        maps=_shared_maps(objects, options.sizes),
        programs=programs,
        missing=missing,
    )


def load(
    wanted: Design,
    *,
    options: Options,
    kept: Mapping[str, int],
    running: Mapping[str, Program],
) -> tuple[dict[str, Map], dict[str, Program]]:
    """Loads the objects; maps in `kept` (name → descriptor) are used instead of new ones.

    An object all of whose programs are `running` is not loaded; those programs are taken over. A
    program that is not required and is refused goes into `wanted.missing` with the reason. Raises
    what Configured.load does, with nothing left loaded.
    """
    maps = {name: maps_of.reopened(fd, wanted.maps[name]) for name, fd in kept.items()}
    programs = dict(running)
    try:
        for opened in wanted.objects:
            if opened.programs.keys() <= running.keys():
                continue
            reuse = {name: made.fd for name, made in maps.items()}
            loaded = _load(opened, wanted, options, reuse)
            programs.update(loaded.programs)
            for name, made in loaded.maps.items():
                if name in wanted.maps and name not in maps:
                    maps[name] = Map(fd=made.fd, spec=wanted.maps[name])
                else:
                    made.close()  # programs hold what they use
    except errors.KernelError:
        for program in programs.values():
            program.close()
        for owned in maps.values():
            owned.close()
        raise
    finally:
        libbpf.trim()
    return maps, programs


def _open(name: str, options: Options) -> Opened:
    if options.objects is not None:
        return Opened.read(options.objects / f"{name}.bpf.o")
    file = importlib.resources.files("undermesh") / "bpf_objects" / f"{name}.bpf.o"
    try:
        return Opened(file.read_bytes(), name=name)
    except FileNotFoundError as error:
        raise errors.NotInObject(
            f"opening object {name}",
            answer="it is not in this installation",
            advice="compile the programs (./run build), or install the wheel, which carries them",
        ) from error


def _missing(programs: Mapping[str, ProgramSpec]) -> dict[str, str]:
    """Programs whose tracepoint this kernel lacks, or has with too few arguments."""
    hooked = {name: spec.tracepoint for name, spec in programs.items()}
    points = {name: point for name, point in hooked.items() if point is not None}
    wanted = [(point, roles.LEAST_ARGUMENTS.get(point, 0)) for point in set(points.values())]
    reasons = vmlinux.missing_tracepoints(wanted)
    return {name: reasons[point] for name, point in points.items() if point in reasons}


def _shared_maps(objects: Sequence[Opened], sizes: Mapping[str, int]) -> dict[str, MapSpec]:
    """Every map but the objects' own sections, with sizes as configured."""
    found: dict[str, MapSpec] = {}
    for opened in objects:
        for name, spec in opened.maps.items():
            if "." in name:
                continue
            first = found.setdefault(name, spec)
            if first.layout != spec.layout:
                raise errors.LayoutMismatch(
                    f"opening object {opened.name}",
                    answer=f"its map {name} is laid out unlike that of another object",
                    advice="build them together: ./run build",
                )
    if unknown := sorted(sizes.keys() - found.keys()):
        raise errors.OperatorError(
            "sizing the maps",
            answer=f"there is no map {', '.join(unknown)}",
            advice=f"there are {', '.join(sorted(found))}",
        )
    return {name: _sized(spec, sizes, objects) for name, spec in found.items()}


def _sized(spec: MapSpec, sizes: Mapping[str, int], objects: Sequence[Opened]) -> MapSpec:
    wanted = sizes.get(spec.name, spec.max_entries)
    if spec.type != MapType.RINGBUF:
        return replace(spec, max_entries=wanted)
    # The kernel takes powers of two of at least a page; libbpf would round up silently.
    size = max(mmap.PAGESIZE, 1 << (wanted - 1).bit_length())
    return replace(spec, max_entries=size, layout=_record_layout(spec.name, objects))


def _record_layout(ring: str, objects: Sequence[Opened]) -> int:
    """The layout of what a ring holds; 0 when no object says."""
    struct = roles.RECORDS.get(ring, "")
    for opened in objects:
        type_id = opened.btf.find(struct, Kind.STRUCT)
        if type_id is not None:
            return specs.combine(opened.btf.layout(type_id))
    return 0


def _load(opened: Opened, wanted: Design, options: Options, reuse: Mapping[str, int]) -> Loaded:
    """Loads one object without the programs this kernel refuses, as long as none is required."""
    constants = {roles.CONFIG: options.constants()}
    sizes = {name: spec.max_entries for name, spec in wanted.maps.items()}
    while True:
        configuration = Configuration(
            variables=constants, sizes=sizes, reuse=reuse, skip=tuple(wanted.missing)
        )
        try:
            return opened.configure(configuration).load()
        except errors.KernelError as error:
            if not error.program or error.program in roles.REQUIRED:
                raise
            wanted.missing[error.program] = f"the kernel refused it: {error.answer}"
            opened = opened.again()
