"""A small program of calls: what each worker asks of one object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, final

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.history import shown

Step: TypeAlias = tuple[Any, ...]
"""The name of an operation and its arguments: ``("put", 1, "a")``."""


@final
class Case:
    """What each worker calls, in order; printed so that it can be pasted as ``replay=``.

    >>> Case([("put", 1)], [("get",)], schedule="T0x2 T1x*")
    Case([('put', 1)], [('get',)], schedule='T0x2 T1x*')
    """

    __slots__ = ("after", "before", "schedule", "workers")

    def __init__(
        self,
        *workers: Iterable[Step],
        before: Iterable[Step] = (),
        after: Iterable[Step] = (),
        schedule: str | None = None,
    ) -> None:
        """Write down a program.

        Args:
            workers: For each worker its calls, each the name of an operation and its arguments.
            before: Calls that one worker alone makes before the others start.
            after: Calls that one worker alone makes when the others have ended.
            schedule: The token of the schedule to run; without one, all are explored.
        """
        self.workers: tuple[tuple[Step, ...], ...] = tuple(_steps(calls) for calls in workers)
        self.before: tuple[Step, ...] = _steps(before)
        self.after: tuple[Step, ...] = _steps(after)
        self.schedule: str | None = schedule

    def __repr__(self) -> str:
        """Show the case as it would be typed."""
        parts = [_typed(calls) for calls in self.workers]
        parts += [
            f"{name}={_typed(calls)}"
            for name, calls in (("before", self.before), ("after", self.after))
            if calls
        ]
        if self.schedule is not None:
            parts.append(f"schedule={self.schedule!r}")
        return f"Case({', '.join(parts)})"

    def without(self, part: int, place: int) -> Case:
        """Return the case without one call.

        Args:
            part: 0 for the calls before, then each worker, last the calls after.
            place: Which of its calls.
        """
        parts = [list(calls) for calls in (self.before, *self.workers, self.after)]
        del parts[part][place]
        return Case(*parts[1:-1], before=parts[0], after=parts[-1], schedule=self.schedule)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All calls of the case."""
        return (*self.before, *(step for calls in self.workers for step in calls), *self.after)


def _steps(calls: Iterable[Step]) -> tuple[Step, ...]:
    if not isinstance(calls, Iterable):
        msg = (
            f"Case: {calls!r} is not a list of calls. Each worker has one. "
            "Write for example Case([('put', 1)], [('get',)])."
        )
        raise UsageError(msg)
    steps = tuple(calls)
    for step in steps:
        if not isinstance(step, tuple) or not step or not isinstance(step[0], str):
            msg = (
                f"Case: {step!r} is not a call. A call is a tuple of a name and its arguments. "
                "Write for example Case([('put', 1)], [('get',)])."
            )
            raise UsageError(msg)
    return steps


def _typed(calls: Sequence[Step]) -> str:
    steps = (f"({', '.join(map(shown, step))}{',' * (len(step) == 1)})" for step in calls)
    return f"[{', '.join(steps)}]"
