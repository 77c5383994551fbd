"""What the workers of a play have in common, and where two plays went apart."""

from __future__ import annotations

from collections.abc import Hashable

from pytest_concurrency.explore.marks import whole
from pytest_concurrency.explore.naming import place
from pytest_concurrency.explore.points import Point
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


DECIDED_OTHERWISE = (
    "Something else than the order decides: a random number, the order of a set, or what the last\n"
    "schedule has left. Make it anew in the body, the same each time."
)
"""What to do about plays of one schedule that went apart."""


def alike(first: Trace, second: Trace, end: int | None = None) -> int:
    """Count the steps with which two plays of one schedule begin alike.

    Args:
        first: One play.
        second: The other.
        end: How many steps to compare at most.
    """
    steps = [[*zip(one.workers[:end], one.labels, strict=False)] for one in (first, second)]
    most = min(map(len, steps))
    return next((i for i in range(most) if steps[0][i] != steps[1][i]), most)


def differing(first: Trace, second: Trace, end: int) -> str:
    """Say where two plays of one schedule went apart."""
    at = alike(first, second, end)
    once, then = (_stood(one, at) for one in (first, second))
    return f"The same schedule went two ways: step {at + 1} was {once} once, and {then} then."


def _stood(trace: Trace, at: int) -> str:
    if at >= len(trace.workers):
        return "none"
    who, point = worker_name(trace.workers[at], trace.names), trace.labels[at]
    return (
        f"{who} at {place(point.code.co_filename, point.line)}" if isinstance(point, Point) else who
    )


def _in_one_order(resource: Hashable) -> bool:
    return isinstance(resource, tuple) and resource[0] in {"worker", "wake"}
