"""What would remove a race: lines that, held together, make every schedule pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol, runtime_checkable

from pytest_concurrency.explore.program import BODY, Event, Program, Trace, worker_name
from pytest_concurrency.explore.search import Search
from pytest_concurrency.explore.settings import Settings
from pytest_concurrency.explore.stage import Region
from pytest_concurrency.explore.timeline import conflicting

_LINES: Final = 20
_SCHEDULES: Final = 300
_SECONDS: Final = 0.3


@runtime_checkable
class Holding(Program, Protocol):
    """A program that can hold lines together: nobody comes between."""

    together: Sequence[Region]


def hint(program: Program, trace: Trace, settings: Settings) -> str | None:
    """Name the regions that remove a failure when they are held together.

    Args:
        program: What failed.
        trace: The failing play, explained.
        settings: How it was explored.

    Returns:
        One line, or ``None`` when holding lines together does not help.
    """
    if trace.ending.kind != "failed" or not isinstance(program, Holding):
        return None
    regions = _regions(conflicting(trace.events))
    if not regions:
        return None
    program.together = sorted(set(regions.values()))
    search = Search(program, replace(settings, schedules=_SCHEDULES, seconds=_SECONDS))
    try:
        failed = search.failure()
    finally:
        program.together = ()
    if failed is not None:
        return None
    many = f"0 of {search.plays:,} schedules fail"
    return f"Held together, {_places(regions, trace)} removes it ({many})."


def _regions(events: Sequence[Event]) -> dict[int, Region]:
    """Return for each worker the lines from its first conflicting access to its last."""
    found: dict[int, Region] = {}
    for event in events:
        file, _, number = event.where.rpartition(":")
        if event.worker == BODY or not number.isdigit():
            return {}
        line = int(number)
        name, low, high = found.get(event.worker, (file, line, line))
        if name != file:
            return {}
        found[event.worker] = (file, min(low, line), max(high, line))
    if any(high - low > _LINES for _, low, high in found.values()):
        return {}
    return found


def _places(regions: dict[int, Region], trace: Trace) -> str:
    if len(set(regions.values())) == 1:
        who = {1: "one", 2: "both"}.get(len(regions), "all")
        return f"{_lines(next(iter(regions.values())))} in {who} workers"
    parts = [
        f"{_lines(region)} in {worker_name(worker, trace.names)}"
        for worker, region in sorted(regions.items())
    ]
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def _lines(region: Region) -> str:
    file, low, high = region
    return f"{file}:{low}" if low == high else f"{file}:{low}-{high}"
