"""Where each worker stands, as text."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType

from pytest_concurrency.explore.naming import place, source
from pytest_concurrency.explore.program import worker_name
from pytest_concurrency.explore.scope import ours
from pytest_concurrency.explore.stage import Stage
from pytest_concurrency.explore.titles import titles
from pytest_concurrency.run.place import short_path

_MOST = 3


def hang(stage: Stage, what: str) -> str:
    """Describe workers that do not end, each with where it stands."""
    frames = sys._current_frames()  # noqa: SLF001
    names = titles(stage)
    lines = [f"Hang: {worker_name(stage.current.number, names)} {what}.", ""]
    for worker in stage.live:
        who = worker_name(worker.number, names)
        lines += _stack(who, frames.get(worker.ident), stage.own)
    return "\n".join(lines)


def _stack(who: str, frame: FrameType | None, own: Callable[[CodeType], bool]) -> list[str]:
    rows: list[str] = []
    inner = frame
    while frame is not None and len(rows) < _MOST:
        if frame.f_code.co_name == "_perform" and ours(frame.f_code):
            break  # what follows called interleave
        if own(frame.f_code):
            file, line = frame.f_code.co_filename, frame.f_lineno
            rows.append(
                f"in {frame.f_code.co_name:<16} {place(file, line):<20} {source(file, line)}"
            )
        frame = frame.f_back
    if not rows:
        rows = _outside(inner)
    room = max(10, len(who) + 2)
    return [
        f"  {who if i == 0 else '':<{room}}{'' if i == 0 else '<- '}{row}"
        for i, row in enumerate(rows)
    ]


def _outside(frame: FrameType | None) -> list[str]:
    """Say where a worker stands that runs nothing of the code under test."""
    while frame is not None and ours(frame.f_code):
        frame = frame.f_back
    if frame is None:
        return []
    return [
        f"in {frame.f_code.co_name:<16} {short_path(frame.f_code.co_filename)}:{frame.f_lineno}"
    ]
