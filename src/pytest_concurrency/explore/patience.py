"""What happens when a worker goes on and on, and when all wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_concurrency.explore.rescue import hung
from pytest_concurrency.explore.workers import Abandoned

if TYPE_CHECKING:
    from pytest_concurrency.explore.stage import Stage

_MOMENT = 1e-6
"""Added whenever time moves, so that a wait is never found shorter than was asked, for rounding."""

_ENDLESS = "Let it end: a loop that waits needs something that ends it, and less work is enough."
SPIN = 3_000
_LONGEST = 60_000


def calm(stage: Stage) -> None:
    """Let others run when a worker goes on and on; give up when all do."""
    stage.tired = stage.steps + SPIN
    if stage.steps > _LONGEST:
        stage.verdict = hung(stage, f"did not end within {_LONGEST:,} points", _ENDLESS)
        raise stage.verdict if stage.current.number == 0 else Abandoned()
    if sum(worker.able for worker in stage.live) > 1:
        stage.trace.spun = stage.yields = True
        stage.budget = 0


def let_time_pass(stage: Stage) -> bool:
    """Move time to the nearest deadline, if there is one; those whose time is up can run."""
    deadlines = [worker.deadline for worker in stage.live if worker.deadline is not None]
    if not deadlines:
        return False
    stage.now = max(stage.now, min(deadlines)) + _MOMENT
    for worker in stage.live:
        if worker.deadline is not None and worker.deadline <= stage.now:
            worker.able = worker.timed_out = True
            worker.deadline = None
            stage.changed(worker)
    return True
