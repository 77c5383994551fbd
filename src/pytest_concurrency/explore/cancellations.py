"""Who was cancelled where, and by whom: known only while a play is explained."""

from __future__ import annotations

from asyncio import Task
from collections.abc import Callable, Sequence
from inspect import CORO_CREATED, getcoroutinestate
from types import CodeType
from typing import Any, Final, final

from pytest_concurrency.explore import awaits
from pytest_concurrency.explore.loop import Loop
from pytest_concurrency.explore.program import Event, Trace, worker_name

_CANCELLED: Final = "cancelled"
_LATEST: Final = 3


@final
class Cancellations:
    """Adds an event to a trace for each task that is cancelled."""

    def __init__(self, trace: Trace, loop: Loop, explores: Callable[[CodeType], bool]) -> None:
        """Look at the tasks of a loop.

        Args:
            trace: Where events go.
            loop: Who has the tasks.
            explores: Tells code under test from the rest.
        """
        self._trace = trace
        self._loop = loop
        self._explores = explores
        self._known: dict[int, int] = {}

    def note(self, by: str) -> None:
        """Write down who was asked to end since the last time.

        Args:
            by: Who asked, as a part of a sentence.
        """
        for number, task in self._loop.tasks.items():
            asked = task.cancelling()
            if asked > self._known.get(number, 0) and not task.done():
                self._write(number, task, by)
            self._known[number] = asked

    def _write(self, number: int, task: Task[Any], by: str) -> None:
        at, does = awaits.pending(task, self._explores), f"is cancelled here{by}"
        coroutine: Any = task.get_coro()
        if at is not None and getcoroutinestate(coroutine) == CORO_CREATED:
            does = f"is cancelled before it begins{by}"
        if at is None or not at.place:
            return
        self._trace.events.append(
            Event(
                worker=number,
                where=at.place,
                source=at.source,
                does=does,
                touches=(((_CANCELLED, number), True),),
                wrote=True,
                step=len(self._trace.workers),
            )
        )

    def by_worker(self, number: int, cancellers: set[int]) -> str:
        """Say that a worker asked; nothing of the one that stands for ``cancel=``."""
        if number in cancellers:
            return ""
        return f", by {worker_name(number)} ({self._loop.name(number)})"


def with_cancellations(found: list[Event], trace: Trace, before: Trace | None) -> list[Event]:
    """Add to what tells why a play fails who was cancelled, unless that is so when it passes.

    Args:
        found: The events that tell why.
        trace: The failing play, explained.
        before: One that passes, explained, if there is one.
    """
    usual = set() if before is None else {_key(event) for event in before.events}
    cancelled = [
        event for event in trace.events if _is_cancellation(event) and _key(event) not in usual
    ]
    if not cancelled:
        return found
    if len({event.worker for event in found}) < 2:  # noqa: PLR2004
        found = [*found, *(event for event in _left_behind(trace.events) if event.does)]
    chosen = {id(event) for event in (*found, *cancelled)}
    return [event for event in trace.events if id(event) in chosen]


def _left_behind(events: Sequence[Event]) -> list[Event]:
    """Return what those that are cancelled had changed before."""
    wrote: dict[int, list[Event]] = {}
    found: list[Event] = []
    for event in events:
        if _is_cancellation(event):
            found += wrote.pop(event.worker, [])[-_LATEST:]
        elif event.wrote:
            wrote.setdefault(event.worker, []).append(event)
    return found


def _is_cancellation(event: Event) -> bool:
    return any(
        isinstance(resource, tuple) and resource[0] == _CANCELLED for resource, _ in event.touches
    )


def _key(event: Event) -> tuple[int, str, str]:
    return event.worker, event.where, event.does
