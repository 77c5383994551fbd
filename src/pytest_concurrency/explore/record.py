"""What is written into a trace besides its steps."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from pytest_concurrency.explore.program import Ending, EndKind, Trace
from pytest_concurrency.explore.workers import Worker


def took(trace: Trace, key: Hashable) -> None:
    """Write down that the step just made took a lock without waiting."""
    if trace.workers:
        trace.locks[len(trace.workers) - 1] = ("took", key)


def ends(trace: Trace, worker: Worker) -> None:
    """Let the last step of a worker touch its life, which others may ask about."""
    at = len(trace.workers) - 1
    while at >= 0 and trace.workers[at] != worker.number:
        at -= 1
    if at >= 0:
        trace.touched[at] = (*trace.touched[at], (("life", worker.number), True))


def close(
    trace: Trace, workers: Iterable[Worker], kind: EndKind, error: BaseException | None
) -> Trace:
    """Write down how it ended, and what those stood before that did not end."""
    for worker in workers:
        if worker.pending is not None:
            trace.pending[worker.number] = worker.pending
    trace.ending = Ending(kind=kind, error=error)
    return trace
