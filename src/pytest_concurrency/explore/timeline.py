"""A failing schedule as a timeline: one column per worker, and only what matters."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from pytest_concurrency.explore.cause import is_silent
from pytest_concurrency.explore.inversion import overlap, parted, refusals
from pytest_concurrency.explore.program import Event, Trace, worker_name
from pytest_concurrency.explore.reduction import Walk
from pytest_concurrency.explore.schedule import Leg, token

_WIDTH: Final = 94
_USUAL: Final = 38
_LONGEST: Final = 98


def note(
    trace: Trace,
    legs: Sequence[Leg],
    *,
    plays: int,
    seconds: float,
    command: str,
    hints: Iterable[str] = (),
    told: Sequence[Event] = (),
) -> str:
    """Write the note that a failure carries.

    Args:
        trace: The failing play, explained.
        legs: Its schedule.
        plays: Schedules played until it was found.
        seconds: How long that took.
        command: How to replay, with ``{token}`` where the token goes.
        hints: What would remove it.
        told: The events that tell why.
    """
    effort = f"schedule {plays:,}, {_time(seconds)}"
    lines = [""]
    rows = _rows(trace, told)
    if rows:
        lines += [f"{_head(preemptions(trace))} ({effort}):", "", *_table(rows, trace.names), ""]
    else:
        lines += [f"Found by {effort}."]
    lines += hints
    text = token(legs, before=trace.before)
    lines.append("Replay: " + command.format(token=text))
    return "\n".join(lines)


def _time(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def _head(count: int) -> str:
    if count == 0:
        return "This order breaks it, without preemption"
    return "One preemption breaks it" if count == 1 else f"{count} preemptions break it"


def preemptions(trace: Trace) -> int:
    """Count how often a worker was stopped that could have gone on."""
    walk, count = Walk(trace), 0
    for at, worker in enumerate(trace.workers):
        walk.look()
        if at and trace.workers[at - 1] != worker and trace.workers[at - 1] in walk.able:
            count += 1
        walk.step()
    return count


@final
@dataclass(slots=True)
class _Row:
    """What one worker did at one line, without anyone coming between."""

    worker: int
    where: str
    source: str
    does: list[str] = field(default_factory=list)


def _rows(trace: Trace, told: Sequence[Event]) -> list[_Row]:
    lost, refused = _lost(trace.events, trace.names), refusals(trace)
    rows: list[_Row] = []
    for event in told:
        last = rows[-1] if rows else None
        if last is None or (last.worker, last.where) != (event.worker, event.where):
            last = _Row(event.worker, event.where, event.source)
            rows.append(last)
        mark = lost.get(id(event)) or refused.get(event.step, "")
        last.does += [text for text in (event.does, mark) if text]
    return rows


def _lost(events: Sequence[Event], names: dict[int, str]) -> dict[int, str]:
    """Mark writes that undo another's because they rest on an older read."""
    marks: dict[int, str] = {}
    read: dict[tuple[int, Hashable], int] = {}
    wrote: dict[Hashable, list[tuple[int, Hashable, int]]] = {}
    for i, event in enumerate(events):
        for resource, write in event.touches:
            if is_silent(resource):
                continue
            whole, part = parted(resource)
            if not write:
                read[event.worker, whole] = i
                continue
            since = read.get((event.worker, whole))
            others = [
                w
                for at, its_part, w in wrote.get(whole, ())
                if since is not None
                and at > since
                and w != event.worker
                and overlap(part, its_part)
            ]
            if others and " -> " in event.does:
                marks[id(event)] = f"<- {worker_name(others[-1], names)}'s write is lost"
            wrote.setdefault(whole, []).append((i, part, event.worker))
    return marks


def _table(rows: Sequence[_Row], names: dict[int, str]) -> list[str]:
    workers = sorted({row.worker for row in rows})
    number = len(str(len(rows))) + 1
    width = _column(rows, workers, (_WIDTH - number) // max(len(workers), 1))
    lines = [" " * number + "".join(f"{worker_name(w, names):<{width}}" for w in workers).rstrip()]
    stacked = any(
        len(f"{row.where}  {row.source}") > width - 2 for row in rows if row.worker != workers[-1]
    )
    for i, row in enumerate(rows, 1):
        before = width * workers.index(row.worker)
        far = _LONGEST - number - before
        room = width - 2 if row.worker != workers[-1] else far
        cells = _cells(row, room, far, stacked=stacked)
        lines += [
            f"{i if j == 0 else '':<{number}}{'':<{before}}{cell}".rstrip()
            for j, cell in enumerate(cells)
        ]
    return lines


def _column(rows: Sequence[_Row], workers: Sequence[int], most: int) -> int:
    """Return how wide a column is: as wide as its lines want, as far as there is room for that."""
    left = [row for row in rows if row.worker != workers[-1]]
    beside = max((len(f"{row.where}  {row.source}") + 2 for row in left), default=0)
    below = max((max(len(row.where), len(row.source) + 2) + 2 for row in left), default=0)
    return min(most, max(_USUAL, beside if beside <= most else below))


def _cells(row: _Row, room: int, far: int, *, stacked: bool) -> list[str]:
    """Write a row's lines: code within the column, what it did as far as the page goes."""
    if stacked:
        hang = "  "
        source = textwrap.wrap(row.source, room, initial_indent=hang, subsequent_indent=hang + "  ")
        cells = [row.where, *source[:3]]
    else:
        hang = " " * (len(row.where) + 2)
        first = f"{row.where}  {row.source}".rstrip()
        cells = textwrap.wrap(first, room, subsequent_indent=hang)[:3]
    for text in dict.fromkeys(row.does):
        told = textwrap.wrap(text, far, initial_indent=hang, subsequent_indent=hang + "  ")
        cells += told[:3]
    return cells
