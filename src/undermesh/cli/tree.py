# SPDX-License-Identifier: Apache-2.0
"""The graph as a tree from its callers down, for narrow terminals.

A node that several call is opened where it is first met; further arrows to it end in ⤴.
"""

from __future__ import annotations

from collections.abc import Sequence

from undermesh.cli import units
from undermesh.cli.graph import Link, roots
from undermesh.cli.paint import Paint, Tone, safe
from undermesh.cli.table import elide


def draw(links: Sequence[Link], *, width: int | None, paint: Paint) -> list[str]:
    """One line per link, under its client."""
    out: dict[str, list[Link]] = {}
    for link in links:
        out.setdefault(link.client, []).append(link)
    lines: list[tuple[str, str, Link | None, bool]] = []
    opened: set[str] = set()
    for start in [*roots(links), *out]:
        if start in opened:
            continue
        opened.add(start)
        lines.append(("", start, None, False))
        _walk(start, "", out, opened, lines)
    names = max(len(stem) + len(name) + 2 for stem, name, _, _ in lines)
    room = names if width is None else min(names, max(12, width - 32))
    return [_line(*line, room=room, width=width, paint=paint) for line in lines]


def _walk(
    name: str,
    indent: str,
    out: dict[str, list[Link]],
    opened: set[str],
    lines: list[tuple[str, str, Link | None, bool]],
) -> None:
    links = out.get(name, [])
    for i, link in enumerate(links):
        last = i == len(links) - 1
        again = link.server in opened and bool(out.get(link.server))
        lines.append((f"{indent}{'└─▶ ' if last else '├─▶ '}", link.server, link, again))
        if link.server not in opened:
            opened.add(link.server)
            _walk(link.server, f"{indent}{'    ' if last else '│   '}", out, opened, lines)


def _line(
    stem: str,
    name: str,
    link: Link | None,
    again: bool,
    *,
    room: int,
    width: int | None,
    paint: Paint,
) -> str:
    if width is not None and len(stem) > width - 12:
        stem = f"…{stem[-(width - 13) :]}"
    shown = elide(safe(name.rstrip()), max(6, room - len(stem) - 2))
    head = paint(stem, "dim") + paint(shown, "bold") + (paint(" ⤴", "dim") if again else "")
    if link is None:
        return head
    used = len(stem) + len(shown) + (2 if again else 0)
    gap = max(2, room - used + 2)
    left = None if width is None else width - used - gap
    return f"{head}{' ' * gap}{_figures(link, left, paint)}".rstrip()


def _figures(link: Link, room: int | None, paint: Paint) -> str:
    """protocol, rate, errors, p50, p99; the last ones go first when there is no room."""
    parts: list[tuple[str, Tone]] = [(link.protocols.ljust(5), "dim")]
    if link.decoded:
        parts.append((units.rate(link.rate).rjust(7), "plain"))
        if link.errors:
            parts.append((f"{units.share(link.errors, link.requests)} err", "red"))
        parts.append((f"p50 {units.milliseconds(link.p50_ms)}", "plain"))
        parts.append((f"p99 {units.milliseconds(link.p99_ms)}", "plain"))
    else:
        parts.append((units.size(link.octets), "plain"))
    while room is not None and parts and sum(len(t) + 2 for t, _ in parts) - 2 > room:
        parts.pop()
    return "  ".join(paint(text, tone) for text, tone in parts)
