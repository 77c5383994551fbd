"""Stacks of workers that do not end: what they are in, innermost first."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from types import FrameType
from typing import Any, final

from pytest_concurrency.run.place import is_ours, is_project, short_path, source_line

MOST_FRAMES = 6
_DUMPED = re.compile(r'File "(?P<path>.+)", line (?P<line>\d+) in (?P<function>.+)')


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One frame of a stack, as text."""

    function: str
    path: str
    line: int

    @property
    def where(self) -> str:
        """Its file and line."""
        return f"{short_path(self.path)}:{self.line}"

    @property
    def source(self) -> str:
        """Its line of source."""
        return source_line(self.path, self.line)


_ROOM = __file__.rsplit("stack", 1)[0]


def thread_frames(ident: int | None) -> list[FrameType]:
    """Return the frames of a running thread, innermost first, down to what runs the worker.

    Those of this package that its code called on the way, such as a session's, are left out.
    """
    above = takewhile(lambda frame: not _runs_workers(frame), all_frames(ident))
    return [frame for frame in above if not is_ours(frame.f_code)]


def _runs_workers(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_ROOM)


def all_frames(ident: int | None) -> list[FrameType]:
    """Return all frames of a running thread, innermost first."""
    frame = sys._current_frames().get(ident or -1)  # noqa: SLF001 - the documented way
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def task_frames(coroutine: Any) -> list[FrameType]:
    """Return the frames of a suspended coroutine and of all that it awaits, innermost first."""
    frames: list[FrameType] = []
    while coroutine is not None:
        frame = (
            getattr(coroutine, "cr_frame", None)
            or getattr(coroutine, "gi_frame", None)
            or getattr(coroutine, "ag_frame", None)
        )
        if frame is not None and not is_ours(frame.f_code):
            frames.insert(0, frame)
        coroutine = (
            getattr(coroutine, "cr_await", None)
            or getattr(coroutine, "gi_yieldfrom", None)
            or getattr(coroutine, "ag_await", None)
        )
    return frames


def places(frames: Sequence[FrameType]) -> list[Place]:
    """Turn frames into places: those of libraries only if there are no others."""
    kept = [frame for frame in frames if is_project(frame.f_code)] or frames
    return [
        Place(function=frame.f_code.co_name, path=frame.f_code.co_filename, line=frame.f_lineno)
        for frame in kept
    ]


def dumped_places(text: str) -> list[Place]:
    """Read the places out of a dump that ``faulthandler`` wrote."""
    found = [
        Place(function=match["function"], path=match["path"], line=int(match["line"]))
        for match in _DUMPED.finditer(text)
    ]
    kept = []
    for place in found:
        if place.path.startswith(_ROOM):
            break
        kept.append(place)
    mine = [place for place in kept if is_project(compile("", place.path, "exec"))]
    return mine or kept
