"""What to call the workers of a play where the code started threads before ``run`` was called."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_concurrency.explore.stage import Stage
    from pytest_concurrency.explore.workers import Worker

_COUNTED = re.compile(r"^(Thread|ThreadPoolExecutor)-\d+")


def titles(stage: Stage) -> dict[int, str]:
    """Name workers so that those given to ``run`` are 0, 1, … in their order.

    Threads that were there before are called as they call themselves; without any, nobody needs
    another name than its number.
    """
    before = stage.trace.before
    if not before:
        return {}
    names: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for worker in stage.workers[1:]:
        if worker.number > before:
            names[worker.number] = f"worker {worker.number - before - 1}"
            continue
        name = _own(worker)
        seen[name] += 1
        names[worker.number] = name if seen[name] == 1 else f"{name} {seen[name]}"
    return names


def _own(worker: Worker) -> str:
    """Return what a thread calls itself, without the number that counts all of the process."""
    thread = worker.thread
    if thread is None:
        return "thread"
    kind = type(thread).__name__
    return _COUNTED.sub(lambda at: kind if at[1] == "Thread" else at[1], thread.name)
