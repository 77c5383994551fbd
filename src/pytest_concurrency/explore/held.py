"""Lines held together: a worker within them goes on, whatever the schedule says."""

from __future__ import annotations

import sys
from pathlib import PurePath
from types import CodeType, FrameType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_concurrency.explore.stage import Stage

Region: TypeAlias = tuple[str, int, int]
"""Lines of a file, by its name without directories: from, to."""


def goes_on(stage: Stage) -> bool:
    """Whether the worker that runs came to its last step within the same lines of the same call.

    What those lines call belongs to them.
    """
    worker = stage.current
    before, worker.region = worker.region, _region(stage.together, sys._getframe(2))  # noqa: SLF001
    inside = before is not None and before == worker.region
    if inside:
        stage.trace.held.add(len(stage.trace.workers))
    return inside


def _region(regions: Sequence[Region], innermost: FrameType) -> tuple[Region, FrameType] | None:
    files = {file for file, _, _ in regions}
    frame: FrameType | None = innermost
    found = None
    while frame is not None:
        name = _name(frame.f_code)
        if name in files:
            line = frame.f_lineno
            for region in regions:
                if region[0] == name and region[1] <= line <= region[2]:
                    found = region, frame
        frame = frame.f_back
    return found


def _name(code: CodeType) -> str:
    name = _NAMES.get(code.co_filename)
    if name is None:
        name = _NAMES[code.co_filename] = PurePath(code.co_filename).name
    return name


_NAMES: dict[str, str] = {}
