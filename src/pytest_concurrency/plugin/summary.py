"""What the end of a run says: nothing, when there is nothing to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pytest_concurrency.plugin.journal import records_of

TITLE = "concurrency and objectives"
MOST_LINES = 20


def write_summary(terminal: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the section of this plugin, if it has any line."""
    lines = list(_lines(config))
    if not lines:
        return
    terminal.section(TITLE, sep="-")
    for line in lines[:MOST_LINES]:
        terminal.write_line(line)
    if len(lines) > MOST_LINES:
        terminal.write_line(f"and {len(lines) - MOST_LINES} more")


def _lines(config: pytest.Config) -> Iterator[str]:
    for record in records_of(config):
        if record["kind"] == "outcome" and record["peak"] == 1 and record["workers"] > 1:
            yield _never_overlapped(record)


def _never_overlapped(record: Mapping[str, Any]) -> str:
    from pytest_concurrency.slo.figures import format_duration

    mean = format_duration(record["wall_ns"] / record["calls"])
    return (
        f"{record['nodeid']}: the {record['workers']} workers never overlapped "
        f"({record['calls']:,} calls of about {mean}). Such calls need interleave."
    )
