"""A place in the user's code: which of their lines reached the database."""

from __future__ import annotations

import sys
import sysconfig
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

_PACKAGE = str(Path(__file__).parent.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line of code, as a person would point at it.

    Attributes:
        path: The file.
        line: The line in it, from 1.
        function: The function that was running.
    """

    path: str
    line: int
    function: str

    def __str__(self) -> str:
        """Return ``people.py:40``."""
        return f"{Path(self.path).name}:{self.line}"


started_at: ContextVar[Place | None] = ContextVar("started_at", default=None)
"""Where the step that runs was started, for steps without a line of the user's own."""


@cache
def _is_foreign(path: str) -> bool:
    """Tell whether a file belongs to a library, to Python or to this package."""
    if path.startswith(("<", _PACKAGE)):
        return True
    if any(part in path for part in ("/site-packages/", "/dist-packages/", "\\site-packages\\")):
        return True
    return path.startswith(sysconfig.get_paths()["stdlib"])


def _is_loop(code: CodeType) -> bool:
    return code.co_name == "_run" and code.co_filename.endswith("events.py")


def _awaiting_frame() -> FrameType | None:
    """Return the frame that awaits the greenlet in which SQLAlchemy runs async calls."""
    greenlet = sys.modules.get("greenlet")
    if greenlet is None:
        return None
    parent = greenlet.getcurrent().parent
    return parent.gr_frame if parent is not None else None


def calling_place() -> Place | None:
    """Return the innermost line of the user's code on this worker's stack."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  (inspect.stack costs 1,000 times as much)
    crossed = False
    while True:
        while frame is not None:
            code = frame.f_code
            if not _is_foreign(code.co_filename):
                return Place(path=code.co_filename, line=frame.f_lineno, function=code.co_name)
            # Who runs the event loop did not call: the task has no caller.
            frame = None if _is_loop(code) else frame.f_back
        if crossed:
            return started_at.get()
        crossed = True
        frame = _awaiting_frame()
