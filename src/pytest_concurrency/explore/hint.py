"""What would remove a race: lines that, held together, make every schedule pass."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Final, Protocol, runtime_checkable

from pytest_concurrency.explore.cause import Cause, is_silent
from pytest_concurrency.explore.held import Region
from pytest_concurrency.explore.inversion import overlap, parted
from pytest_concurrency.explore.program import BODY, Event, Place, Program, Trace, worker_name
from pytest_concurrency.explore.search import Search
from pytest_concurrency.explore.settings import Settings
from pytest_concurrency.explore.timeline import preemptions

_LINES: Final = 20
_SCHEDULES: Final = 300
_SECONDS: Final = 1.0


@runtime_checkable
class Holding(Program, Protocol):
    """A program that can hold lines together: nobody comes between."""

    together: Sequence[Region]


def hint(program: Program, trace: Trace, settings: Settings, why: Cause) -> str | None:
    """Name the regions that remove a failure when they are held together.

    Args:
        program: What failed.
        trace: The failing play, explained.
        settings: How it was explored.
        why: What tells why it fails.

    Returns:
        One line, or ``None`` unless every schedule with as many preemptions passes while the lines
        are held together, in every worker that comes to them.
    """
    if not isinstance(program, Holding):
        return None
    tried: list[dict[int, Region]] = []
    for events in (why.told, why.around, _meeting(trace.events)):
        regions = _regions([event for event in events if event.worker != BODY])
        if len(regions) < 2 or regions in tried:  # noqa: PLR2004
            continue
        tried.append(regions)
        played = _without(program, sorted(set(regions.values())), preemptions(trace), settings)
        if played is not None:
            return f"Held together, {_places(regions, trace)} removes it (0 of {played} fail)."
    return None


def _without(
    program: Holding, regions: Sequence[Region], least: int, settings: Settings
) -> str | None:
    """Play with lines held together; say what was played if none of it fails.

    That is all there is with as many preemptions as the failure took, and then, if it is soon done,
    all up to the bound that was asked for.
    """
    program.together = regions
    try:
        near = _passing(program, least, settings)
        if near is None or least >= settings.preemptions:
            return None if near is None else _schedules(near)
        far = _passing(program, settings.preemptions, settings)
    finally:
        program.together = ()
    if far is not None:
        return _schedules(far)
    return f"{_schedules(near)} with up to {least} preemption{'' if least == 1 else 's'}"


def _passing(program: Holding, bound: int, settings: Settings) -> int | None:
    """Play all there is with so many preemptions; count if it can be done, and none fails."""
    limits = replace(
        settings,
        schedules=min(_SCHEDULES, settings.schedules),
        seconds=min(_SECONDS, settings.seconds),
        preemptions=bound,
    )
    search = Search(program, limits, beyond=0)
    failed = search.failure()
    whole = search.complete >= bound and not search.spun and not search.strayed
    return search.plays if failed is None and whole else None


def _schedules(many: int) -> str:
    return f"{many:,} schedule{'' if many == 1 else 's'}"


def _meeting(events: Sequence[Event]) -> list[Event]:
    """Return the events of workers that conflict with another worker's, in what they share."""
    by_whole: dict[Hashable, list[tuple[Event, Hashable, bool]]] = {}
    for event in events:
        for resource, write in event.touches:
            if is_silent(resource):
                continue
            shared, part = parted(resource)
            by_whole.setdefault(shared, []).append((event, part, write))
    found: dict[int, Event] = {}
    for touched in by_whole.values():
        for event, part, write in touched:
            if any(
                other.worker != event.worker and (write or wrote) and overlap(part, its_part)
                for other, its_part, wrote in touched
            ):
                found[event.step] = event
    return [event for event in found.values() if event.worker != BODY]


def _regions(events: Sequence[Event]) -> dict[int, Region]:
    """Return for each worker the lines from its first access to its last."""
    found: dict[int, Region] = {}
    for worker in {event.worker for event in events}:
        region = _region([event.stack for event in events if event.worker == worker])
        if region is None:
            return {}
        found[worker] = region
    found = {worker: _joined(region, found.values()) for worker, region in found.items()}
    if any(high - low > _LINES for _, low, high in found.values()):
        return {}
    return found


def _region(stacks: Sequence[tuple[Place, ...]]) -> Region | None:
    """Return the lines of the innermost function that all accesses are made in, or from."""
    for function, file, _ in stacks[0]:
        lines = [
            next((line for one, _, line in stack if one is function), None) for stack in stacks
        ]
        if all(line is not None for line in lines):
            known = [line for line in lines if line is not None]
            return file, min(known), max(known)
    return None


def _joined(region: Region, others: Iterable[Region]) -> Region:
    """Make one region of those that overlap: a line is held with one of them only."""
    file, low, high = region
    for name, its_low, its_high in sorted(others):
        if name == file and its_low <= high and low <= its_high:
            low, high = min(low, its_low), max(high, its_high)
    return region if (file, low, high) == region else _joined((file, low, high), others)


def _places(regions: dict[int, Region], trace: Trace) -> str:
    held = sorted(set(regions.values()))
    others = {event.worker for event in trace.events} - {BODY, *regions}
    if others or len(held) == 1:
        who = "all" if others or len(regions) > 2 else "both"  # noqa: PLR2004
        return f"{' and '.join(map(_lines, held))} in {who} workers"
    parts = [
        f"{_lines(region)} in {worker_name(worker, trace.names)}"
        for worker, region in sorted(regions.items())
    ]
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def _lines(region: Region) -> str:
    file, low, high = region
    return f"{file}:{low}" if low == high else f"{file}:{low}-{high}"
