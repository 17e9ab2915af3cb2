# SPDX-License-Identifier: Apache-2.0
"""`undermesh bench`: where the benchmarks are. They need the source tree, not the agent."""

from __future__ import annotations

import click

from undermesh.cli import output


@click.command(short_help="How to measure what undermesh costs.")
def bench() -> None:
    """Says how to measure what undermesh costs, and against what it is compared."""
    output.print_lines(
        [
            "The benchmarks live in the source tree, beside what they compare with:",
            "",
            "  ./run bench tap    requests counted, throughput kept, cost per request, agent CPU",
            "  ./run bench cli    how fast this command starts",
            "  ./run bench priority    what is important, on a link that bulk flows fill",
            "",
            "--json prints one row per figure; without it, a table with the bars that must hold.",
        ]
    )
