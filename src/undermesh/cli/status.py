# SPDX-License-Identifier: Apache-2.0
"""`undermesh status`: the agent about itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from undermesh.cli import output, units
from undermesh.cli.options import agent, json_option, which_agent_options
from undermesh.cli.paint import Paint, paint_for
from undermesh.cli.table import Cell, Column, render
from undermesh.wire.status import MapRow, ProgramRow, Status

NEARLY_FULL = 0.8
_FILLING = frozenset({"hash", "percpu_hash", "lru_hash", "lpm_trie"})
"""Kinds of maps that fill up; an array always has all its entries."""


@click.command(short_help="What the agent runs, and how full its maps are.")
@click.option(
    "--config", "show_config", is_flag=True, help="Its effective configuration, secrets masked."
)
@json_option
@which_agent_options
def status(show_config: bool, as_json: bool, **where: str | None) -> None:
    """The agent about itself: programs, maps with their fill, and what was lost."""
    with agent() as client:
        answer = client.status(config=show_config)
    if as_json:
        output.print_json(answer)
        return
    paint = paint_for()
    if show_config:
        output.print_lines(_config(answer.config or {}))
        return
    output.print_lines(_lines(answer, paint, output.line_width()))


def _lines(answer: Status, paint: Paint, width: int | None) -> Iterator[str]:
    how = "taken over from an earlier agent" if answer.adopted else "loaded afresh"
    yield (
        f"{paint('undermesh', 'bold')} {answer.version} · instance {answer.instance}"
        f" · node {answer.node} · pid {answer.pid}"
    )
    yield f"up {units.age(answer.started)}, counting for {units.age(answer.since)}, programs {how}"
    kernel = sum(row.bytes for row in answer.maps)
    yield (
        f"memory {units.size(answer.memory_bytes)} agent, {units.size(kernel)} kernel maps"
        f" · {answer.workloads} workloads"
    )
    yield _loss(answer, paint)
    for loop in answer.loops:
        if loop.problem:
            yield paint(f"{loop.name}: {loop.problem} ({loop.failures} times)", "red")
    yield ""
    yield from render(
        _PROGRAM_COLUMNS, [_program(p) for p in answer.programs], width=width, paint=paint
    )
    yield ""
    yield from render(_MAP_COLUMNS, [_map(m) for m in answer.maps], width=width, paint=paint)


def _loss(answer: Status, paint: Paint) -> str:
    lost = {name: count for name, count in answer.lost.items() if count}
    held = sum(answer.limited.values())
    rest = f" · {units.count(held)} samples held back by rate limits" if held else ""
    if not lost:
        return f"{paint('nothing lost', 'green')}{rest}"
    named = ", ".join(f"{name} {units.count(count)}" for name, count in lost.items())
    return f"{paint(f'lost: {named}', 'red')}{rest}"


def _program(row: ProgramRow) -> list[Cell]:
    state = Cell("attached", "green") if row.attached else Cell(row.why or "not attached", "red")
    mean = row.run_ns / row.runs if row.runs else None
    return [
        Cell(row.name, "bold"),
        Cell(row.hook),
        Cell(units.count(row.verified_insns) if row.verified_insns else units.NONE),
        Cell(units.count(row.runs) if row.runs else units.NONE),
        Cell(units.NONE if mean is None else f"{mean:.0f} ns"),
        state,
    ]


def _map(row: MapRow) -> list[Cell]:
    counted = row.fill is not None and row.type in _FILLING
    full = counted and (row.fill or 0.0) >= NEARLY_FULL
    of = units.size if row.type == "ringbuf" else units.count
    return [
        Cell(row.name, "bold"),
        Cell(row.type),
        Cell(units.NONE if row.entries is None else units.count(row.entries)),
        Cell(of(row.max_entries) if row.max_entries else units.NONE),
        Cell(_fill(row.fill or 0.0) if counted else units.NONE, "red" if full else "plain"),
        Cell(units.size(row.bytes)),
    ]


def _fill(fill: float) -> str:
    return "<1%" if 0 < fill < 0.01 else f"{fill:.0%}"


def _config(tables: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """As TOML: what is printed can be a configuration file."""
    for table, values in tables.items():
        yield f"[{table}]"
        nested = {key: value for key, value in values.items() if isinstance(value, dict)}
        for key, value in values.items():
            if key not in nested:
                yield f"# {key} is not set" if value is None else f"{key} = {_toml(value)}"
        for key, entries in nested.items():
            yield f"\n[{table}.{key}]"
            for name, value in entries.items():
                yield f"{name} = {_toml(value)}"
        yield ""


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_PROGRAM_COLUMNS = (
    Column(title="PROGRAM"),
    Column(title="HOOK", weight=60, elastic=True, least=10),
    Column(title="VERIFIED", side="right", weight=20),
    Column(title="RUNS", side="right", weight=30),
    Column(title="EACH", side="right", weight=40),
    Column(title="STATE", elastic=True, least=12),
)
_MAP_COLUMNS = (
    Column(title="MAP"),
    Column(title="TYPE", weight=40),
    Column(title="ENTRIES", side="right"),
    Column(title="OF", side="right", weight=60),
    Column(title="FILL", side="right"),
    Column(title="MEMORY", side="right", weight=80),
)
