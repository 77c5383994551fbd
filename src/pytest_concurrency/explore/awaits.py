"""Where a suspended coroutine stands, and what it waits for."""

from __future__ import annotations

import sys
from asyncio import Task
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from gc import get_referents
from pathlib import Path
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any

from pytest_concurrency.explore.naming import place, source

_OURS = str(Path(__file__).parent)
_ENDED = ("the end",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """One await that a worker is suspended in, in the code under test.

    Attributes:
        place: File and line, as ``app.py:12``.
        source: The line itself.
        target: The lock, event or queue that it waits for, if that can be seen.
    """

    place: str
    source: str
    target: object | None = None


def label(task: Task[Any]) -> Hashable:
    """Return where a task stands: equal for equal places in every play of the same program."""
    places: list[object] = []
    for frame in frames(task):
        if frame.f_code.co_filename.startswith(_OURS):
            continue
        places += (frame.f_code, frame.f_lasti)
    return tuple(places) or _ENDED


def frames(task: Task[Any]) -> Iterator[FrameType]:
    """Go through the suspended frames of a task, the outermost first."""
    coroutine: Any = task.get_coro()
    while coroutine is not None:
        for name, inner in _KINDS:
            frame = getattr(coroutine, name, None)
            if frame is not None:
                yield frame
                coroutine = getattr(coroutine, inner)
                break
        else:
            coroutine = _within(coroutine)


def _within(step: object) -> object | None:
    """Return what a step of an asynchronous generator is a step of: no attribute says so."""
    if type(step).__name__ not in _STEPS:
        return None
    inner = (AsyncGeneratorType, CoroutineType, GeneratorType)
    return next(
        (
            one
            for one in get_referents(step)
            if isinstance(one, inner) or type(one).__name__ in _STEPS
        ),
        None,
    )


_STEPS = frozenset(
    {"async_generator_asend", "async_generator_athrow", "anext_awaitable", "coroutine_wrapper"}
)

_KINDS = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


def pending(task: Task[Any], explores: Callable[[CodeType], bool]) -> Await | None:
    """Return the innermost await of a task in code under test."""
    target = None
    found = None
    for frame in frames(task):
        if explores(frame.f_code):
            found = frame
            target = None
        elif target is None:
            target = _target(frame)
    if found is None:
        return None if target is None else Await(place="", source="", target=target)
    return _at(found, target)


def here(explores: Callable[[CodeType], bool]) -> Await | None:
    """Return the innermost line of code under test that is running now."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the one way to see a caller's line
    while frame is not None and not explores(frame.f_code):
        frame = frame.f_back
    return None if frame is None else _at(frame)


def _at(frame: FrameType, target: object | None = None) -> Await:
    file, line = frame.f_code.co_filename, frame.f_lineno
    return Await(place=place(file, line), source=source(file, line), target=target)


_METHODS = ("acquire", "wait", "get", "receive", "send")
"""What one of them an object has is waited for: a lock, an event, a queue, of any library."""


def _target(frame: FrameType) -> object | None:
    owner = frame.f_locals.get("self")
    return owner if any(hasattr(type(owner), name) for name in _METHODS) else None
