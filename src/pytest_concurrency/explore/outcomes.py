"""Outcomes of `concurrent_runner` inside an explored body: checked there, reported nowhere else."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from pytest_concurrency.run.outcome import Outcome
from pytest_concurrency.run.settings import Settings, observed_by
from pytest_concurrency.surroundings import SURROUNDINGS


def checked(body: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a body so that calls which failed and were never looked at fail its schedule."""
    if inspect.iscoroutinefunction(body):

        @wraps(body)
        async def awaited(*arguments: Any) -> None:
            __tracebackhide__ = True
            with _collected() as outcomes:
                await body(*arguments)
            _check(outcomes)

        return awaited

    @wraps(body)
    def called(*arguments: Any) -> None:
        __tracebackhide__ = True
        with _collected() as outcomes:
            body(*arguments)
        _check(outcomes)

    return called


@contextmanager
def _collected() -> Iterator[list[Outcome[Any]]]:
    before = SURROUNDINGS.provide
    outcomes: list[Outcome[Any]] = []

    def provide(room: str) -> Any:
        if room != "run":
            return before(room) if before is not None else None
        found = before(room) if before is not None else None
        return observed_by(found or Settings(), outcomes.append)

    SURROUNDINGS.provide = provide
    try:
        yield outcomes
    finally:
        SURROUNDINGS.provide = before


def _check(outcomes: list[Outcome[Any]]) -> None:
    __tracebackhide__ = True
    for outcome in outcomes:
        if outcome.has_unseen_errors:
            outcome.raise_unseen()
