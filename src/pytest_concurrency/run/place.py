"""Places in code, as a reader finds them: file, line, function, source."""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
from types import CodeType, FrameType, TracebackType

from pytest_concurrency.errors import InternalError

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120
_STDLIB = tuple(
    os.path.realpath(path) + os.sep
    for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
)
_PACKAGES = ("site-packages", "dist-packages")
_LAUNCHED = "<string>"
"""Code given on a command line, as by the processes of pytest-xdist."""


def short_path(path: str) -> str:
    """Shorten a path to what tells it apart: from here, or from the package's root."""
    parts = path.replace("\\", "/").split("/")
    for mark in _PACKAGES:
        if mark in parts:
            return "/".join(parts[parts.index(mark) + 1 :])
    for root in _STDLIB:
        if path.startswith(root):
            return path[len(root) :]
    here = os.getcwd() + os.sep  # noqa: PTH109 - a string is needed
    return path.removeprefix(here)


def is_ours(code: CodeType) -> bool:
    """Say whether it is code of this package."""
    return code.co_filename.startswith(_OURS)


def is_stdlib(code: CodeType) -> bool:
    """Say whether it is code of Python's own library."""
    path = code.co_filename
    if path.startswith("<frozen"):
        return True
    return path.startswith(_STDLIB) and not any(mark in path for mark in _PACKAGES)


def is_project(code: CodeType) -> bool:
    """Say whether it is neither Python's own nor an installed package's."""
    path = code.co_filename
    return path != _LAUNCHED and not (
        is_stdlib(code)
        or is_ours(code)
        or path.startswith("<sqlalchemy ")  # the wrappers that it writes while it runs
        or any(mark in path for mark in _PACKAGES)
    )


def source_line(path: str, line: int) -> str:
    """Return a line of source without its indentation, or nothing if there is none."""
    return linecache.getline(path, line).strip()


def caller_place() -> str:
    """Return ``file:line`` of whoever called into this package."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no public way
    while frame is not None and (is_ours(frame.f_code) or is_stdlib(frame.f_code)):
        frame = frame.f_back
    return f"{short_path(frame.f_code.co_filename)}:{frame.f_lineno}" if frame else "?"


def without_our_frames(error: BaseException) -> BaseException:
    """Drop this package's frames from a traceback: what is left is the user's."""
    if isinstance(error, InternalError):
        return error
    kept = []
    traceback = error.__traceback__
    while traceback is not None:
        if not is_ours(traceback.tb_frame.f_code):
            kept.append(traceback)
        traceback = traceback.tb_next
    rest: TracebackType | None = None
    for one in reversed(kept):
        rest = TracebackType(rest, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return error.with_traceback(rest)


def raised_at(traceback: TracebackType | None) -> str:
    """Return ``file:line`` of the innermost frame of the user's that an exception passed."""
    place = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not (is_ours(code) or is_stdlib(code)):
            place = f"{short_path(code.co_filename)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place
