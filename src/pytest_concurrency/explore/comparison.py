"""What the workers of a play have in common, and where two plays went apart."""

from __future__ import annotations

from collections.abc import Hashable

from pytest_concurrency.explore.marks import whole
from pytest_concurrency.explore.program import BODY, Touch, Trace, worker_name


def shares(trace: Trace) -> bool:
    """Whether two workers touched one resource."""
    seen: dict[Hashable, int] = {}
    for worker, touches in zip(trace.workers, trace.touched, strict=True):
        for touched, _ in touches:
            resource = whole(touched)
            if resource == "*" or (isinstance(resource, tuple) and resource[0] == "worker"):
                continue
            if seen.setdefault(resource, worker) != worker:
                return True
    return False


def conflicting(trace: Trace) -> float:
    """Return the share of steps that touch what another worker writes, or write what it touches.

    The body is left out: it waits for the others, mostly.
    """
    steps = [
        (worker, touches)
        for worker, touches in zip(trace.workers, trace.touched, strict=True)
        if worker != BODY
    ]
    touching: dict[Hashable, set[int]] = {}
    writing: dict[Hashable, set[int]] = {}
    for worker, touches in steps:
        for touched, write in touches:
            for kept in (touching, writing)[: 1 + write]:
                kept.setdefault(whole(touched), set()).add(worker)

    def conflicts(worker: int, touches: tuple[Touch, ...]) -> bool:
        return any(
            (touched == "*" and write)
            or (touching if write else writing).get(whole(touched), set()) - {worker}
            for touched, write in touches
            if (touched != "*" or write) and not _in_one_order(touched)
        )

    return sum(conflicts(*step) for step in steps) / len(steps) if steps else 0.0


def differing(first: Trace, second: Trace, end: int) -> str:
    """Say where two plays of one schedule went apart."""
    at = next(
        (
            i
            for i, (a, b) in enumerate(zip(first.workers[:end], second.workers, strict=False))
            if a != b
        ),
        min(end, len(second.workers)),
    )
    worker = worker_name(first.workers[at], first.names)
    return f"The same schedule went two ways: at step {at + 1}, {worker} stood elsewhere."


def _in_one_order(resource: Hashable) -> bool:
    return isinstance(resource, tuple) and resource[0] in {"worker", "wake"}
