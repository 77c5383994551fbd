"""What a schedule leaves behind: the next ones start from it, and from nothing that the body made.

The first schedule is played again after all the others. If it goes another way, what it did at
first was never explored.
"""

from __future__ import annotations

from pytest_concurrency.explore.comparison import alike, conflicting
from pytest_concurrency.explore.failures import NotDeterministic
from pytest_concurrency.explore.naming import place
from pytest_concurrency.explore.points import Point
from pytest_concurrency.explore.program import Program, Trace
from pytest_concurrency.explore.reduction import settle
from pytest_concurrency.explore.schedule import Plan

FAILS = (
    "Schedule 1 passed, and fails when it is played again: something is left over from one\n"
    "schedule to the next. Make it anew in the body, or reset it there."
)
ONLY_FIRST = (
    "Only the first schedule tested anything: something is left over from it.\n"
    "Played again, it went another way{place}, and no worker met another.\n"
    "Make that anew in the body, or reset it there."
)
NOTED = "Schedule 1 went another way when it was played again{place}: {why}"
_ANEW = "something is left over from it. Make that anew in the body, or reset it there."
_RANDOM = "something differs from play to play, such as a random number or the order of a set."


def left_over(program: Program, first: Trace | None) -> str | None:
    """Play the first schedule again, and say so if it goes another way.

    Args:
        program: What was explored; no schedule of it failed.
        first: What happened in the first schedule.

    Raises:
        NotDeterministic: Only in the first schedule did workers get into each other's way, so
        nothing worth a promise was explored.
    """
    __tracebackhide__ = True
    if first is None or first.ending.kind != "passed":
        return None
    again = program.play(Plan([]))
    where = _parting(first, again)
    if where is None:
        return None
    if _parting(again, program.play(Plan([]))) is not None:
        return NOTED.format(place=where, why=_RANDOM)
    settle(again)
    if conflicting(first) and not conflicting(again):
        raise NotDeterministic(ONLY_FIRST.format(place=where))
    return NOTED.format(place=where, why=_ANEW)


def fails_again(program: Program, first: Trace | None) -> bool:
    """Whether the first schedule, which passed, fails when it is played after the others."""
    if first is None or first.ending.kind != "passed":
        return False
    return program.play(Plan([])).ending.kind != "passed"


def _parting(first: Trace, second: Trace) -> str | None:
    """Say where two plays of one schedule went apart, if they did."""
    at = alike(first, second)
    if at == len(first.workers) == len(second.workers):
        return None
    return _place(first, at) or _place(second, at)


def _place(trace: Trace, at: int) -> str:
    point = trace.labels[at] if at < len(trace.labels) else None
    return f" at {place(point.code.co_filename, point.line)}" if isinstance(point, Point) else ""
